"""``babyhubert report`` as a user runs it: what the page holds, what it must never hold, how large it grows."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from making import RATE, babble
from reading_pages import data_of, rows_of, unpack_bytes, unpack_integers
from results_folders import random_rows, write_addressees, write_phonemes, write_run
from scipy.special import expit, logit

from babyhubert.report import page as page_module
from babyhubert.report.content import STRIP_PARTS
from babyhubert.report.levels import measure_levels
from babyhubert.report.packing import pack_integers, pack_spans
from commands import command

SECOND = 16_000
HOSTILE = "a/<img src=x onerror=alert(1)>/dáy \"one\" & 'two' </script><script>alert(2)"
VOICES = ("KCHI", "OCH", "MAL", "FEM")


class Elements(HTMLParser):
    """Every tag of a page with its attributes; text of a script is no tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def report(folder: Path, *options: object, code: int = 0) -> dict:
    result = command("report", folder, *options)
    assert result.code == code, result.err
    return data_of(folder / "report.html")


class TestContent:
    def test_segments_come_back_as_they_were(self, tmp_path):
        rows = random_rows(np.random.default_rng(0), 500, 7200)
        write_run(tmp_path, {"day": rows}, 7200)
        data = report(tmp_path, "--no-levels")
        (detail,) = data["recordings"]
        assert rows_of(detail) == sorted(rows)
        assert detail["duration"] == 7_200_000
        assert (detail["start"], detail["levels"], detail["doubtful"], detail["clips"]) == (None, None, None, [])
        assert sum(sum(detail["lengths"][voice]) for voice in VOICES) == 500
        assert len(unpack_bytes(data["rows"][0]["strip"])) == 4 * STRIP_PARTS

    def test_addressees_and_phones_stand_at_their_segments(self, tmp_path):
        rows = [(SECOND, 2 * SECOND, "KCHI"), (3 * SECOND, 4 * SECOND, "FEM"), (5 * SECOND, 6 * SECOND, "FEM")]
        write_run(tmp_path, {"a": rows}, 60)
        write_addressees(tmp_path, {"a": [(*rows[1], "KCDS"), (*rows[2], "Other")]})
        write_phonemes(tmp_path, "a", [(SECOND, 2 * SECOND, "b a")])
        lanes = report(tmp_path, "--no-levels")["recordings"][0]["lanes"]
        assert lanes["KCHI"]["phonemes"] == ["b a"]
        assert unpack_bytes(lanes["FEM"]["addressees"]) == [1, 3]
        assert "addressees" in lanes["MAL"]
        assert "phonemes" not in lanes["FEM"]

    def test_classes_of_any_task_stand_at_their_segments(self, tmp_path):
        rows = [(SECOND, 2 * SECOND, "KCHI"), (3 * SECOND, 4 * SECOND, "FEM"), (3 * SECOND, 5 * SECOND, "KCHI")]
        write_run(tmp_path, {"a": rows}, 60)
        values = dict(zip(rows, ("cry", "", "sob"), strict=True))
        lines = [f"a,{s / SECOND:.3f},{(e - s) / SECOND:.3f},{label},{v}" for (s, e, label), v in values.items()]
        (tmp_path / "rttm_vocal.csv").write_text(
            "\n".join(["uid,start_time_s,duration_s,label,mood", *lines, ""]), encoding="utf-8"
        )
        told = {"task": "vocal", "kind": "classification", "column": "mood", "classes": ["laugh", "cry"]}
        told |= {"voices": ["KCHI"], "tier": "mood@", "codes": {}}
        run = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
        also = {"vocal": {"command": "vocal", "failures": [], "task": told}}
        (tmp_path / "run.json").write_text(json.dumps({**run, "also": also}), encoding="utf-8")
        data = report(tmp_path, "--no-levels")
        (column,) = data["about"]["columns"]
        assert column["name"] == "mood"
        assert column["measures"] == {"laugh": "mood_laugh", "cry": "mood_cry"}
        lanes = data["recordings"][0]["lanes"]
        shown = [column["texts"][number] for number in unpack_bytes(lanes["KCHI"]["classes"]["mood"])]
        assert shown == ["cry", "another class"]
        assert "classes" not in lanes["FEM"]
        measured = data["recordings"][0]["measures"]
        assert [measured[f"mood_{name}_count"] for name in ("laugh", "cry")] == [0, 1]

    def test_scores_are_mean_log_odds_over_each_segments_frames(self, tmp_path):
        rows = [(0, 3200, "KCHI"), (6400, 8000, "FEM")]
        write_run(tmp_path, {"a": rows}, 1)
        scores = np.random.default_rng(0).random((49, 4)).astype(np.float16)
        path = tmp_path / ".babyhubert" / "segment" / "scores" / "a.npy"
        path.parent.mkdir(parents=True)
        np.save(path, scores)
        detail = report(tmp_path, "--no-levels")["recordings"][0]
        odds = logit(np.clip(scores.astype(np.float64), 2.0**-25, 1 - 2.0**-12))
        assert unpack_bytes(detail["lanes"]["KCHI"]["scores"]) == [round(255 * expit(np.mean(odds[:10, 0])))]
        assert unpack_bytes(detail["lanes"]["FEM"]["scores"]) == [round(255 * expit(np.mean(odds[20:25, 3])))]
        near = np.abs(scores[:, 0].astype(np.float32) - 0.437) < 0.1
        assert detail["doubtful"]["KCHI"] == pytest.approx(near.mean(), abs=1e-4)

    def test_scores_that_do_not_fit_are_left_out(self, tmp_path):
        write_run(tmp_path, {"a": [(0, 3200, "KCHI")]}, 1)
        path = tmp_path / ".babyhubert" / "segment" / "scores" / "a.npy"
        path.parent.mkdir(parents=True)
        for content in (np.zeros((9, 3), np.float16), None):
            np.save(path, content) if content is not None else path.write_bytes(b"cut")
            assert report(tmp_path, "--no-levels")["recordings"][0]["doubtful"] is None

    def test_start_times_reach_the_page(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        (tmp_path / "s.csv").write_text("recording_id,start_time\na,7:30\n", encoding="utf-8")
        data = report(tmp_path, "--no-levels", "--start-times", tmp_path / "s.csv")
        assert data["recordings"][0]["start"] == data["rows"][0]["start"] == 27_000
        assert data["recordings"][0]["hours"]["names"] == ["07:00"]

    def test_the_page_follows_the_settings_of_the_tables(self, tmp_path):
        rows = [(0, SECOND, "KCHI"), (4 * SECOND, 5 * SECOND, "FEM")]
        write_run(tmp_path, {"a": rows}, 60)
        assert report(tmp_path, "--no-levels")["rows"][0]["measures"]["turns_floor"] == 0
        command("measures", tmp_path, "--turn-gap", 3000)
        data = report(tmp_path, "--no-levels")
        assert data["rows"][0]["measures"]["turns_floor"] == 1
        assert data["about"]["measures"]["turn_gap_ms"] == 3000


class TestSafety:
    def test_no_name_or_error_can_become_markup(self, tmp_path):
        write_run(tmp_path / "<b>out", {HOSTILE: [(0, SECOND, "KCHI")]}, 60, failures=[("/<i>x.wav", "</script> <b>")])
        data = report(tmp_path / "<b>out", "--no-levels")
        assert data["recordings"][0]["id"] == HOSTILE
        assert data["about"]["failures"] == [{"path": "/<i>x.wav", "error": "</script> <b>"}]
        text = (tmp_path / "<b>out" / "report.html").read_text(encoding="utf-8")
        tags = [tag for tag, _ in Elements(text).tags]
        assert not {"img", "b", "i"} & set(tags)
        assert tags.count("script") == 2
        assert "alert(" not in text.replace(r"alert(1)\u003e", "").replace("\\u003cscript\\u003ealert(2)", "")

    def test_nothing_is_fetched(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        report(tmp_path, "--no-levels")
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        elements = Elements(text).tags
        assert not {"link", "iframe", "object", "embed", "img"} & {tag for tag, _ in elements}
        assert not [attributes for _, attributes in elements if "src" in attributes]
        assert {a["href"] for tag, a in elements if tag == "a"} == {"#main"}
        (policy,) = [a["content"] for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", text)

    def test_the_script_never_writes_markup(self):
        script = (Path(page_module.__file__).parent / "page.js").read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)

    def test_no_sound_unless_it_is_asked_for(self, tmp_path):
        sound = tmp_path / "a.wav"
        soundfile.write(sound, babble(20 * RATE, RATE, seed=0), RATE)
        rows = [(k * SECOND, k * SECOND + 8000, VOICES[k % 3]) for k in range(18)]
        out = write_run(tmp_path / "out", {"a": rows}, 20, paths={"a": sound})
        assert report(out)["recordings"][0]["clips"] == []
        result = command("report", out, "--with-clips", 6)
        assert "think before you pass it on" in result.err
        clips = data_of(out / "report.html")["recordings"][0]["clips"]
        assert sorted(clip["label"] for clip in clips) == ["KCHI", "KCHI", "MAL", "MAL", "OCH", "OCH"]
        for clip in clips:
            assert (clip["at"] * 16, clip["until"] * 16, clip["label"]) in rows
            samples, rate = soundfile.read(io.BytesIO(base64.b64decode(clip["mp3"])))
            assert rate == RATE
            assert 0.9 * RATE < len(samples) < 1.8 * RATE
        assert data_of(out / "report.html") | {"about": 0} == report(out, "--with-clips", 6) | {"about": 0}


class TestLevels:
    def test_each_second_against_its_samples(self, tmp_path):
        sound = babble(int(3.5 * RATE), RATE, seed=1)
        sound[RATE : 2 * RATE] = 0
        sound[2 * RATE + 5 : 2 * RATE + 12] = 1.0
        soundfile.write(tmp_path / "a.wav", sound, RATE, subtype="FLOAT")
        found = measure_levels(tmp_path / "a.wav")
        for second in range(4):
            part = sound[second * RATE : (second + 1) * RATE].astype(np.float64)
            power = max(float(np.mean(part**2)), 1e-12)
            assert found.level[second] == max(0, round(2 * (10 * np.log10(power) + 100)))
        assert found.clipped.tolist() == [0, 0, 7, 0]
        assert found.level[1] == 0

    def test_they_are_kept_until_the_file_changes(self, tmp_path, monkeypatch):
        sound = tmp_path / "a.wav"
        soundfile.write(sound, babble(2 * RATE, RATE, seed=0), RATE)
        out = write_run(tmp_path / "out", {"a": []}, 2, paths={"a": sound})
        first = report(out)["recordings"][0]["levels"]
        assert len(unpack_bytes(first["level"])) == 2
        with monkeypatch.context() as patch:
            patch.setattr("babyhubert.report.levels.measure_levels", lambda *_: pytest.fail("measured again"))
            assert report(out)["recordings"][0]["levels"] == first
        soundfile.write(sound, 0.1 * babble(3 * RATE, RATE, seed=0), RATE)
        assert report(out)["recordings"][0]["levels"] != first

    def test_a_page_without_audio_says_so(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        (note,) = report(tmp_path)["recordings"][0]["notes"]
        assert note.startswith("No levels or sounds: ")
        assert "/nowhere/a.wav" in note


class TestSize:
    def test_sixteen_hours_with_20_000_segments_stay_far_below_5_mb(self, tmp_path):
        write_run(tmp_path, {"day": random_rows(np.random.default_rng(0), 20_000, 16 * 3600)}, 16 * 3600)
        path = tmp_path / ".babyhubert" / "segment" / "scores" / "day.npy"
        path.parent.mkdir(parents=True)
        np.save(path, np.full((2_879_999, 4), 0.5, np.float16))
        command("measures", tmp_path, "--shuffles", 0)
        data = report(tmp_path, "--no-levels")
        assert sum(lane["count"] for lane in data["recordings"][0]["lanes"].values()) == 20_000
        assert (tmp_path / "report.html").stat().st_size < 400_000

    def test_many_recordings_get_a_page_each(self, tmp_path, monkeypatch):
        monkeypatch.setattr(page_module, "DETAIL_BYTES", 20_000)
        names = [f"child {k}/dáy #{k}%" for k in range(6)]
        rows = random_rows(np.random.default_rng(0), 100, 600)
        write_run(tmp_path, dict.fromkeys(names, rows), 600)
        result = command("report", tmp_path, "--no-levels")
        assert result.code == 0
        assert f"6 recordings: {tmp_path / 'report.html'} and {tmp_path / 'report'}" in result.out
        data = data_of(tmp_path / "report.html")
        assert data["recordings"] == []
        assert [row["id"] for row in data["rows"]] == names
        for row in data["rows"]:
            own = tmp_path / unquote(row["href"])
            (detail,) = data_of(own)["recordings"]
            assert detail["id"] == row["id"]
            assert rows_of(detail) == sorted(rows)
            assert (own.parent / data_of(own)["about"]["index"]).resolve() == (tmp_path / "report.html").resolve()

    @given(st.lists(st.integers(-(2**40), 2**40), max_size=30))
    def test_packed_integers_come_back(self, values):
        assert unpack_integers(pack_integers(values)) == values

    def test_spans_may_overlap(self):
        start, end = np.array([0, 5, 6]), np.array([10, 7, 30])
        assert unpack_integers(pack_spans(start, end)) == [0, 10, -5, 2, -1, 24]


class TestOddRuns:
    def test_no_speech_at_all_and_a_recording_of_a_minute(self, tmp_path):
        write_run(tmp_path, {"silent": [], "short": [(0, SECOND, "OCH")]}, {"silent": 57_600, "short": 60})
        data = report(tmp_path, "--no-levels")
        silent = next(one for one in data["recordings"] if one["id"] == "silent")
        assert rows_of(silent) == []
        assert silent["measures"]["kchi_speech_min"] == 0
        assert silent["measures"]["kchi_segment_mean_s"] is None
        assert len(silent["hours"]["hours"]) == 16

    def test_a_run_in_which_everything_failed(self, tmp_path):
        write_run(tmp_path, {}, 60, failures=[("/x.wav", "not audio")])
        data = report(tmp_path)
        assert (data["rows"], data["recordings"]) == ([], [])
        assert len(data["about"]["failures"]) == 1

    def test_a_damaged_table_is_told_and_the_others_are_shown(self, tmp_path):
        write_run(tmp_path, {"bad": [], "good": []}, 60)
        (tmp_path / "csv" / "bad.csv").write_text("nonsense\n", encoding="utf-8")
        data = report(tmp_path, "--no-levels", code=1)
        assert [row["id"] for row in data["rows"]] == ["good"]
        assert "bad.csv" in data["about"]["failures"][0]["error"]

    def test_a_broken_run_record_is_one_line(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        (tmp_path / "run.json").write_text('{"recordings": [', encoding="utf-8")
        assert "damaged, not JSON" in command("report", tmp_path).error
        assert not (tmp_path / "report.html").exists()

    def test_numbers_that_are_none_do_not_break_the_page(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        path = tmp_path / "run.json"
        path.write_text(path.read_text(encoding="utf-8").replace("0.437", "NaN"), encoding="utf-8")
        assert report(tmp_path, "--no-levels")["about"]["settings"]["thresholds"]["KCHI"] is None

    def test_a_recording_kept_from_other_settings_says_so(self, tmp_path):
        write_run(tmp_path, {"a": []}, 60)
        path = tmp_path / "run.json"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('"current_settings": true', '"current_settings": false'), encoding="utf-8")
        (note,) = report(tmp_path, "--no-levels")["recordings"][0]["notes"]
        assert "other settings" in note


def test_the_page_names_demonstration_models_and_its_results(tmp_path):
    from babyhubert.report.paper import demonstration_models

    run = {
        "model": {"source": "C:\\models\\playroom-mini"},
        "also": {"addressee": {"model": {"source": "coml/addressee"}}},
    }
    assert demonstration_models(run) == ["playroom-mini"]
    assert demonstration_models({"model": {"source": "coml/VTC-2"}, "also": None}) == []


def test_children_and_ages_of_a_data_set(tmp_path):
    from babyhubert.report.people import Person, people_of

    metadata = tmp_path / "metadata"
    metadata.mkdir()
    (metadata / "recordings.csv").write_text(
        "child_id,date_iso,recording_filename\nc1,2021-05-10,a/x.wav\nNA,2021-05-10,b.wav\nc2,NA,c.wav\n",
        encoding="utf-8",
    )
    (metadata / "children.csv").write_text("child_id,child_dob\nc1,2020-05-10\nc2,2020-01-01\n", encoding="utf-8")
    audio = {name: tmp_path / "recordings" / "raw" / f"{name}.wav" for name in ("a/x", "b", "c", "d")}
    assert people_of(audio) == {"a/x": Person("c1", 12.0), "b": Person(), "c": Person("c2"), "d": Person()}
