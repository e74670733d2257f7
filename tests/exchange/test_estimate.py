"""``babyhubert estimate`` as a user runs it: clips out, corrections in, corrected totals with intervals."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE
from results_folders import write_addressees, write_phonemes, write_run
from test_sample import correct_in_elan, rows_of

from babyhubert.annotation.columns import Column
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from babyhubert.exchange.clip_counts import Clips, confusion_in_clips, measure_in_clips, measure_whole, tiles
from babyhubert.measures.results import RecordingResult
from babyhubert.measures.totals import totals
from babyhubert.measures.turns import TurnRules, speech_of
from commands import command

SECONDS = {"sub/Zoé 1": 180.0, "007": 150.0, "b": 120.0}
SPEAKERS = ("KCHI", "OCH", "FEM")
MEASURES = [total.name for total in totals() if not total.column]


def truth_of(seed: int, seconds: float) -> Segments:
    """Segments of three voices on whole milliseconds, disjoint within a voice."""
    draw = np.random.default_rng(seed)
    rows = []
    for label in SPEAKERS:
        edges = np.sort(draw.choice(int(seconds * 100), size=int(seconds / 5) * 2, replace=False)) * 10
        rows += [(int(start) * 16, int(end) * 16, label) for start, end in edges.reshape(-1, 2)]
    return Segments.from_rows(rows)


def found_of(truth: Segments, seed: int) -> Segments:
    """What a machine makes of it: some missed, some under another label."""
    draw = np.random.default_rng(seed)
    kept = truth.where(draw.random(len(truth)) < 0.7)
    label = np.where((draw.random(len(kept)) < 0.3) & (kept.label == "FEM"), "MAL", kept.label)
    return Segments(kept.start, kept.end, label)


TRUTH = {name: truth_of(number, seconds) for number, (name, seconds) in enumerate(SECONDS.items())}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a run ``out``, clips of it and the reference that people made of these."""
    folder = tmp_path_factory.mktemp("estimate")
    paths = {name: folder / "audio" / f"{name}.wav" for name in SECONDS}
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = np.random.default_rng(0).normal(0, 0.01, int(SECONDS[name] * RATE)).astype(np.float32)
        soundfile.write(path, sound, RATE)
    found = {name: list(found_of(truth, 9)) for name, truth in TRUTH.items()}
    write_run(folder / "out", found, SECONDS, paths=paths)
    done = command("sample", folder / "out", "-o", folder / "clips", "--clips", 4, "--length", 8, "--context", 1)
    assert done.code == 0, done.err
    for row in rows_of(folder / "clips"):
        correct_in_elan(folder / "clips" / row["clip"], TRUTH[row["recording_id"]], int(row["audio_onset"]) * 16)
    done = command("sample", "--collect", folder / "clips", "-o", folder / "reference")
    assert done.code == 0, done.err
    (folder / "recordings.csv").write_text("recording_id,child_id\nsub/Zoé 1,A\n007,A\nb,B\n", encoding="utf-8")
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    """The same, to be changed."""
    for name in ("out", "reference", "clips"):
        shutil.copytree(made / name, tmp_path / name)
    return tmp_path


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def spoken(segments: Segments, voices: tuple[str, ...], first: int, last: int) -> int:
    """Milliseconds in which any of these speaks, counted one by one."""
    speaks = np.zeros(last - first, dtype=bool)
    for start, end, label in segments:
        if label in voices:
            speaks[max(start // 16 - first, 0) : max(end // 16 - first, 0)] = True
    return int(speaks.sum())


def test_estimates_of_a_run_by_child_and_recording(made, tmp_path):
    options = ("--recordings", made / "recordings.csv", "--by", "child_id", "-o", tmp_path)
    done = command("estimate", made / "out", "--reference", made / "reference", *options)
    assert done.code == 0, done.err
    assert "All recordings: 3 recordings, 0.1 h, 12 annotated clips" in done.out
    assert "child_id A: 2 recordings" in done.out
    rows = {(row["level"], row["name"], row["measure"]): row for row in read_rows(tmp_path / "estimate.csv")}
    assert len(rows) == (1 + 2 + 3) * len(MEASURES)
    clips = rows_of(made / "clips")
    for measure, voices in (("kchi_speech_min", ("KCHI",)), ("adult_speech_min", ("MAL", "FEM"))):
        row = rows["all", "", measure]
        machine = sum(spoken(found_of(TRUTH[n], 9), voices, 0, int(SECONDS[n] * 1000)) for n in SECONDS)
        assert float(row["machine"]) == pytest.approx(machine / 60_000, abs=1e-5)
        alone = 0.0
        for clip in clips:
            name, first = clip["recording_id"], int(clip["segment_onset"])
            alone += spoken(TRUTH[name], voices, first, first + 8000) / 60_000 * SECONDS[name] / 32
        assert float(row["clips_alone"]) == pytest.approx(alone, abs=1e-5)
        low, value, high = (float(row[name]) for name in ("low", "corrected", "high"))
        assert low < value < high
        assert float(row["per_hour"]) == pytest.approx(value / (450 / 3600), rel=1e-3)
        parts = [float(rows["recording_id", name, measure]["machine"]) for name in SECONDS]
        assert sum(parts) == pytest.approx(float(row["machine"]), abs=1e-4)
    unseen = rows["all", "", "mal_speech_min"]
    assert unseen["no_interval"] == "people found none in the clips"
    assert (unseen["corrected"], unseen["low"], unseen["clips_alone"]) == ("", "", "")
    told = "note: no interval for mal_speech_min, mal_segments, mal_vocalisations: people found none in the clips"
    assert told in done.out.splitlines()
    content = json.loads((tmp_path / "estimate.json").read_text(encoding="utf-8"))
    assert len(content["estimates"]) == len(rows)
    assert {(one["true"], one["found"]) for one in content["rates"]} >= {("KCHI", "MAL"), ("non_speech", "FEM")}
    shares = [one for one in read_rows(tmp_path / "rates.csv") if one["level"] == "all"]
    rates = {(one["true"], one["found"]): one for one in shares}
    assert 0 < float(rates["KCHI", "KCHI"]["low"]) < float(rates["KCHI", "KCHI"]["share"]) <= 1


def test_amounts_and_confusion_are_those_counted_millisecond_by_millisecond():
    truth, found = TRUTH["007"], found_of(TRUTH["007"], 3)
    clips = Clips(np.array([1000, 40_000, 90_500]), np.array([9000, 50_000, 93_000]))
    amounts = measure_in_clips(RecordingResult("007", Path(), 150 * RATE, truth), clips, MEASURES)
    confusion, minutes = confusion_in_clips(truth, found, clips)
    for row, (first, last) in enumerate(zip(clips.onset, clips.offset, strict=True)):
        counted = dict(zip(MEASURES, amounts[row], strict=True))
        assert counted["speech_min"] == pytest.approx(spoken(truth, VOICE_TYPES, first, last) / 60_000)
        starts = [start for start, _, label in truth if label == "FEM"]
        assert counted["fem_segments"] == sum(16 * first < start < 16 * last for start in starts)
        people, machine = np.zeros((2, 5, last - first), dtype=bool)
        for side, segments in ((people, truth), (machine, found)):
            for start, end, label in segments:
                place = VOICE_TYPES.index(label)
                side[place, max(start // 16 - first, 0) : max(end // 16 - first, 0)] = True
            side[4] = ~side[:4].any(axis=0)
        several = np.maximum(people[:4].sum(axis=0), 1)
        for one in range(5):
            assert minutes[row, one] == pytest.approx(people[one].sum() / 60_000)
            for other in range(5):
                both = people[one] & machine[other]
                share = both if one == other else (both & ~people[other]) / (several if one < 4 else 1)
                assert confusion[row, one, other] == pytest.approx(share.sum() / 60_000)
        assert confusion[row].sum(axis=0) == pytest.approx(machine.sum(axis=1) / 60_000)


def test_turns_are_counted_in_each_clip_as_if_it_were_all_there_is():
    truth, rules = TRUTH["007"], TurnRules().named()
    clips = tiles(150 * RATE, 7000)
    names = [f"turns_{rule}" for rule in rules] + ["kchi_vocalisations"]
    amounts = measure_in_clips(RecordingResult("007", Path(), 150 * RATE, truth), clips, names)
    for row, (first, last) in enumerate(zip(16 * clips.onset, 16 * clips.offset, strict=True)):
        inside = [(max(s, first), min(e, last), label) for s, e, label in truth if e > first and s < last]
        alone = speech_of(Segments.from_rows(inside))
        wanted = [(rule(alone) > first).sum() for rule in rules.values()]
        child = sorted((s, e) for s, e, label in inside if label == "KCHI")
        ends = [first - 1, *(e for _, e in child)]
        apart = [s > first and s - before >= 4800 for (s, _), before in zip(child, ends, strict=False)]
        apart[:1] = [child[0][0] > first] if child else []
        assert amounts[row].tolist() == [*wanted, sum(apart)]
    assert amounts[:, 1].sum() > 5
    complete = measure_whole(RecordingResult("007", Path(), 150 * RATE, truth), names)
    assert amounts.sum(axis=0) == pytest.approx(complete, rel=0.1)


def test_people_of_one_voice_who_speak_at_once_count_their_time_once_and_their_segments_apart():
    rows = [(0, 10, "FEM"), (5, 15, "FEM"), (6, 8, "FEM"), (40, 41, "MAL")]
    result = RecordingResult("a", Path(), 60 * RATE, Segments.from_rows([(s * RATE, e * RATE, v) for s, e, v in rows]))
    names = ["fem_speech_min", "fem_segments", "adult_speech_min"]
    clips = Clips(np.array([0, 4000]), np.array([4000, 60_000]))
    assert measure_in_clips(result, clips, names).tolist() == pytest.approx(
        np.array([[4 / 60, 0, 4 / 60], [11 / 60, 2, 12 / 60]])
    )


def refusal(copy: Path) -> str:
    done = command("estimate", copy / "out", "--reference", copy / "reference")
    assert done.code == 2, done.out
    assert "Traceback" not in done.err
    (line,) = [line for line in done.err.splitlines() if "error" in line]
    return line


def change_sample(copy: Path, **changes: object) -> None:
    path = copy / "reference" / "sample.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def test_a_reference_that_does_not_tell_how_it_was_drawn_is_refused(copy):
    path = copy / "reference" / "sample.json"
    path.write_text("{", encoding="utf-8")
    assert "sample.json: damaged" in refusal(copy)
    path.unlink()
    assert "holds no sample.json" in refusal(copy)


@pytest.mark.parametrize(
    "clips", [None, [], [["a", 1]], [["a", 5, 2]], [[1, 2, 3]], "x", [["b", 0, 1e3]], [["b", 0, 10**30]]]
)
def test_a_reference_with_a_malformed_list_of_clips_is_refused(copy, clips):
    change_sample(copy, clips=clips)
    assert "sample.json" in refusal(copy)


def test_clips_that_are_no_fair_sample_are_refused(copy):
    change_sample(copy, settings={"method": "high-volubility"}, methods=["high-volubility"])
    assert "drawn by method high-volubility do not stand for the recordings" in refusal(copy)


def test_clips_of_another_run_are_refused(copy):
    change_sample(copy, clips=[["x", 0, 8000], ["y", 0, 8000]])
    (copy / "reference" / "annotated.uem").write_text("x 1 0 8\ny 1 0 8\n", encoding="utf-8")
    assert "its clips are of x, y, which" in refusal(copy)


def test_clips_past_the_end_of_a_recording_are_told(copy):
    change_sample(copy, clips=[["b", 0, 8000], ["b", 200_000, 208_000]])
    (copy / "reference" / "annotated.uem").write_text("b 1 0 8\nb 1 200 208\n", encoding="utf-8")
    assert "a clip of b ends at 208 s, after the end of that recording in the run (120 s)" in refusal(copy)


def test_a_uem_that_covers_no_clip_and_a_sample_of_one_clip_are_refused(copy):
    uem = copy / "reference" / "annotated.uem"
    uem.write_text("b 1 0 0.5\n", encoding="utf-8")
    assert "covers none of the clips" in refusal(copy)
    row = rows_of(copy / "clips")[0]
    uem.write_text(
        f"{row['recording_id'].replace(' ', '_')} 1 {int(row['segment_onset']) / 1000} "
        f"{int(row['segment_offset']) / 1000}\n",
        encoding="utf-8",
    )
    assert "one annotated clip gives no interval" in refusal(copy)
    uem.unlink()
    assert "annotated.uem: missing" in refusal(copy)


def test_segments_that_changed_since_the_clips_were_drawn_are_told(copy):
    found = {name: list(found_of(truth, 10)) for name, truth in TRUTH.items()}
    write_run(copy / "new", found, SECONDS)
    done = command("estimate", copy / "new", "--reference", copy / "reference")
    assert done.code == 0, done.err
    assert "the segments of 3 recordings are not those that the clips were drawn from" in done.err


def test_recordings_and_clips_without_annotation_are_told_as_assumptions(copy):
    uem = copy / "reference" / "annotated.uem"
    lines = [line for line in uem.read_text(encoding="utf-8").splitlines() if not line.startswith("b ")]
    uem.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = command("estimate", copy / "out", "--reference", copy / "reference", "-o", copy / "est")
    assert done.code == 0, done.err
    assert "8 of 12 clips are annotated; the estimates assume" in done.err
    assert "1 of 3 recordings have no annotated clip" in done.err
    last = next(row for row in read_rows(copy / "est" / "estimate.csv") if row["name"] == "b")
    assert (last["name"], last["no_interval"], last["corrected"]) == ("b", "no annotated clip", "")


def test_by_needs_a_table_and_a_table_needs_by(copy):
    done = command("estimate", copy / "out", "--reference", copy / "reference", "--by", "child_id")
    assert done.code == 2
    assert "give both or none" in done.err


def told_by(first: Path, second: Path, choice: str, output: Path, run: Path) -> tuple[dict[str, dict], str]:
    """Estimates of all recordings from two references, by measure, and the notes."""
    options = ("--reference", first, "--reference", second, "--annotators", choice, "-o", output)
    done = command("estimate", run, *options)
    assert done.code == 0, done.err
    rows = {row["measure"]: row for row in read_rows(output / "estimate.csv") if row["level"] == "all"}
    return rows, done.err


def test_two_annotators_are_combined_only_by_a_stated_choice(copy):
    other, out = copy / "other", copy / "out"
    shutil.copytree(copy / "reference", other)
    for name, truth in TRUTH.items():
        heard = truth.where(np.random.default_rng(1).random(len(truth)) < 0.8)
        lines = [f"{s // 16},{e // 16},{label.replace('KCHI', 'CHI')}\n" for s, e, label in heard]
        table = "segment_onset,segment_offset,speaker_type\n" + "".join(lines)
        (other / "csv" / f"{name}.csv").write_text(table, encoding="utf-8")
    uem = other / "annotated.uem"
    lines = uem.read_text(encoding="utf-8").splitlines()
    uem.write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")  # one clip less
    done = command("estimate", out, "--reference", copy / "reference", "--reference", other)
    assert done.code == 2
    assert "2 references: choose how to combine them with --annotators: mean" in done.err
    single = [told_by(one, one, "first", copy / "est", out)[0] for one in (copy / "reference", other)]
    both, notes = told_by(copy / "reference", other, "mean", copy / "est", out)
    assert "the mean of 2 annotators is counted, in the 11 clips that all annotated; they differ most in" in notes
    assert both["kchi_segments"]["clips"] == "11"
    found = [float(one["fem_segments"]["clips_alone"]) for one in (*single, both)]
    assert found[1] < found[2] < found[0]
    preferred, notes = told_by(other, copy / "reference", "first", copy / "est", out)
    assert f"11 clips are counted as {other} has them, 1 that it does not have as the next" in notes
    assert preferred["kchi_segments"]["clips"] == "12"
    assert float(preferred["fem_segments"]["clips_alone"]) < float(single[0]["fem_segments"]["clips_alone"])


def test_annotators_of_other_clips_are_not_combined(copy):
    change_sample(copy, clips=[["b", 0, 8000], ["b", 9000, 17_000]])
    (copy / "reference" / "annotated.uem").write_text("b 1 0 8\nb 1 9 17\n", encoding="utf-8")
    assert command("sample", "--collect", copy / "clips", "-o", copy / "second").code == 0
    options = ("--reference", copy / "second", "--reference", copy / "reference", "--annotators", "mean")
    done = command("estimate", copy / "out", *options)
    assert done.code == 2
    assert "is of other clips than" in done.err
    third = shutil.copytree(copy / "second", copy / "third")
    lines = (third / "annotated.uem").read_text(encoding="utf-8").splitlines()
    (third / "annotated.uem").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    (copy / "second" / "annotated.uem").write_text("\n".join(lines[2:]) + "\n", encoding="utf-8")
    done = command("estimate", copy / "out", "--reference", third, *options[:2], *options[4:])
    assert done.code == 2
    assert "0 clips were annotated by all 2" in done.err


def test_the_mean_of_children_has_an_interval_for_children_like_them(copy):
    seconds = {f"day {number}": 100.0 for number in range(8)}
    truth = {name: truth_of(number + 20, 100.0) for number, name in enumerate(seconds)}
    out = write_run(copy / "days", {name: list(found_of(one, 1)) for name, one in truth.items()}, seconds)
    reference = copy / "reference"
    drawn = [[name, onset, onset + 10_000] for name in truth for onset in (20_000, 60_000)]
    change_sample(copy, clips=drawn, segments={})
    uem = [f"{name.replace(' ', '_')} 1 {onset / 1000} {offset / 1000}\n" for name, onset, offset in drawn[:-4]]
    (reference / "annotated.uem").write_text("".join(uem), encoding="utf-8")
    for name, one in truth.items():
        lines = [f"{s // 16},{e // 16},{label.replace('KCHI', 'CHI')}\n" for s, e, label in one]
        table = "segment_onset,segment_offset,speaker_type\n" + "".join(lines)
        (reference / "csv" / f"{name}.csv").write_text(table, encoding="utf-8")
    table = "recording_id,child,site\n" + "".join(f"day {n},{'abcddefg'[n]},{'xy'[n < 4]}\n" for n in range(8))
    (copy / "days.csv").write_text(table.replace("day 7,g", "day 9,g"), encoding="utf-8")
    options = ("--recordings", copy / "days.csv", "--children", "child", "--by", "site", "-o", copy / "est")
    done = command("estimate", out, "--reference", reference, *options)
    assert done.code == 0, done.err
    assert "Mean of 6 children (child; all), per hour, 5 with annotated clips" in done.out
    assert "1 recordings have no child in the table, and are left out of mean rates" in done.out
    rows = {(row["level"], row["name"], row["measure"]): row for row in read_rows(copy / "est" / "children.csv")}
    assert {key[:2] for key in rows} == {("all", ""), ("site", "x"), ("site", "y")}
    row = rows["all", "", "speech_min"]
    low, value, high = (float(row[name]) for name in ("low", "per_hour", "high"))
    assert low < value < high
    rates = []
    for child in (["day 0"], ["day 1"], ["day 2"], ["day 3", "day 4"], ["day 5"]):
        clips = [(name, on, off) for name, on, off in drawn if name in child]
        rates.append(sum(spoken(truth[n], VOICE_TYPES, on, off) / 60_000 for n, on, off in clips) / len(clips) * 360)
    assert float(row["clips_alone"]) == pytest.approx(np.mean(rates), rel=1e-4)
    assert rows["site", "x", "speech_min"]["no_interval"] == "fewer than 3 children with clips"
    content = json.loads((copy / "est" / "estimate.json").read_text(encoding="utf-8"))
    assert len(content["children"]) == len(rows)


def test_clips_collected_into_their_own_folder_can_be_used(copy):
    assert command("sample", "--collect", copy / "clips", "-o", copy / "clips").code == 0
    done = command("estimate", copy / "out", "--reference", copy / "clips", "-o", copy / "est")
    assert done.code == 0, done.err


OWN = Column("vocalisation", "voc@", "vocalisation", "classification", ("cry", "speech"), voices=("KCHI",))


@pytest.fixture
def with_tasks(copy) -> Path:
    """The run with addressees, phones and a task of its own, and clips that people left as they are."""
    draw, out = np.random.default_rng(1), copy / "out"
    found = {name: found_of(truth, 9) for name, truth in TRUTH.items()}
    kinds = ("KCDS", "ADS", "OCDS")
    write_addressees(
        out,
        {
            name: [(*one, str(draw.choice(kinds))) for one in each if one.label in ("FEM", "MAL")]
            for name, each in found.items()
        },
    )
    lines = ["uid,start_time_s,duration_s,label,vocalisation\n"]
    for name, each in found.items():
        spoken_by_child = [one for one in each if one.label == "KCHI"]
        write_phonemes(
            out, name, [(one.start, one.end, "b a d a"[: int(draw.integers(0, 8))]) for one in spoken_by_child]
        )
        for start, end, label in spoken_by_child:
            length = f"{(end - start) / RATE:.3f}"
            lines.append(f"{name},{start / RATE:.3f},{length},{label},{draw.choice(OWN.classes)}\n")
    (out / "rttm_vocalisation.csv").write_text("".join(lines), encoding="utf-8")
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    run["also"] = {"vocalisation": {"command": "vocalisation", "task": OWN.as_record()}}
    (out / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return copy


def test_totals_of_every_task_are_estimated(with_tasks, tmp_path):
    out, clips, reference = with_tasks / "out", tmp_path / "c", tmp_path / "r"
    assert command("sample", out, "-o", clips, "--clips", 4, "--length", 12).code == 0
    done = command("sample", "--collect", clips, "-o", reference, "--include-unchanged")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1] == f"next: babyhubert estimate OUT --reference {reference}"
    done = command("estimate", out, "--reference", reference, "-o", tmp_path / "est")
    assert done.code == 0, done.err
    rows = {row["measure"]: row for row in read_rows(tmp_path / "est" / "estimate.csv") if row["level"] == "all"}
    assert list(rows) == [total.name for total in totals([OWN])]
    assert command("measures", out, "--shuffles", 0).code == 0
    measured = read_rows(out / "measures.csv")
    for name, row in rows.items():
        machine = sum(float(one[name]) for one in measured)
        assert float(row["machine"]) == pytest.approx(machine, abs=2e-4)
        if row["clips_with"] != "0":  # people agree with the machine everywhere
            assert float(row["corrected"]) == pytest.approx(machine, abs=2e-4)
    assert float(rows["vocalisation_cry_min"]["corrected"]) > 0
    assert float(rows["linguistic_utterances"]["corrected"]) > 0
    (told,) = [line for line in done.err.splitlines() if "clip by clip" in line]
    assert "turns_" in told


def test_columns_that_people_left_out_are_told_and_not_estimated(with_tasks, tmp_path):
    done = command("estimate", with_tasks / "out", "--reference", with_tasks / "reference", "-o", tmp_path / "est")
    assert done.code == 0, done.err
    assert "people annotated no addressee, phonemes, vocalisation: measures of it are not estimated" in done.err
    assert {row["measure"] for row in read_rows(tmp_path / "est" / "estimate.csv")} == set(MEASURES)


def test_rates_of_other_recordings_correct_minutes_and_tell_what_they_assume(made, tmp_path):
    done = command("estimate", made / "out", "--reference", made / "reference", "-o", tmp_path / "est")
    assert done.code == 0, done.err
    rates = tmp_path / "est" / "rates.csv"
    rows = [row for row in read_rows(rates) if row["level"] == "recording_id" and row["true"] == "KCHI"]
    for name in SECONDS:
        (row,) = [row for row in rows if row["name"] == name and row["found"] == "KCHI"]
        clips = [clip for clip in rows_of(made / "clips") if clip["recording_id"] == name]
        onsets = [int(clip["segment_onset"]) for clip in clips]
        minutes = sum(spoken(TRUTH[name], ("KCHI",), first, first + 8000) for first in onsets) / 60_000
        assert float(row["true_minutes"]) == pytest.approx(minutes * SECONDS[name] / 32, rel=1e-4)
        assert float(row["share"]) == pytest.approx(float(row["minutes"]) / float(row["true_minutes"]), abs=1e-4)
    truth = {f"new {number}": truth_of(number + 40, 200.0) for number in range(6)}
    found = {name: list(found_of(one, 5)) for name, one in truth.items()}
    other = write_run(tmp_path / "other", found, dict.fromkeys(truth, 200.0))
    table = tmp_path / "table.csv"
    table.write_text("recording_id,child\n" + "".join(f"{name},{name[-1]}\n" for name in truth), encoding="utf-8")
    options = ("--recordings", table, "--by", "child", "-o", tmp_path / "new")
    done = command("estimate", other, "--rates", rates, *options)
    assert done.code == 0, done.err
    assert "the rates are of 3 other recordings" in done.err
    assert "not corrected, as they do not occur in the rates: MAL" in done.err
    got = {(row["level"], row["name"], row["measure"]): row for row in read_rows(tmp_path / "new" / "estimate.csv")}
    assert len(got) == (1 + 6 + 6) * 4
    row = got["all", "", "fem_speech_min"]
    actual = sum(spoken(one, ("FEM",), 0, 200_000) for one in truth.values()) / 60_000
    assert float(row["machine"]) < 0.7 * actual
    assert float(row["low"]) < actual < float(row["high"])
    assert got["all", "", "mal_speech_min"]["no_interval"] == "does not occur in the rates"


def test_rates_of_another_machine_are_refused(made, tmp_path):
    assert command("estimate", made / "out", "--reference", made / "reference", "-o", tmp_path / "est").code == 0
    out = shutil.copytree(made / "out", tmp_path / "out")
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    for changed, said in (
        ({"model": {**run["model"], "sha256": "1" * 64}}, "of another model"),
        ({"settings": {"thresholds": {"KCHI": 0.9}}}, "of other thresholds"),
    ):
        (out / "run.json").write_text(json.dumps({**run, **changed}), encoding="utf-8")
        done = command("estimate", out, "--rates", tmp_path / "est" / "rates.csv")
        assert done.code == 2
        assert said in done.err
    (tmp_path / "est" / "estimate.json").unlink()
    done = command("estimate", out, "--rates", tmp_path / "est" / "rates.csv")
    assert done.code == 0
    assert "no estimate.json beside it tells of which model the rates are" in done.err
    for options in ((), ("--rates", "x.csv", "--reference", made / "reference")):
        done = command("estimate", out, *options)
        assert done.code == 2
        assert "give --reference" in done.err


def test_confidences_are_fitted_on_the_annotated_clips(copy):
    assert "give --reference" in command("estimate", copy / "out", "--rates", copy / "x.csv", "--confidence").error
    for name, seconds in SECONDS.items():
        scores = copy / "out" / ".babyhubert/segment/scores" / f"{name}.npy"
        scores.parent.mkdir(parents=True, exist_ok=True)
        np.save(scores, np.random.default_rng(1).random((int(seconds * 50) - 1, 4)).astype(np.float16))
    options = ("--reference", copy / "reference", "--confidence", "-o", copy / "est")
    done = command("estimate", copy / "out", *options)
    assert done.code == 0, done.err
    assert "Probability that a segment is right, 3 recordings" in done.out
    record = json.loads((copy / "est/confidence.json").read_text(encoding="utf-8"))
    assert record["about"]["reference"] == str(copy / "reference")
    inside = 0
    for row in rows_of(copy / "clips"):
        first, last = int(row["segment_onset"]) * 16, int(row["segment_offset"]) * 16
        for start, end, _ in found_of(TRUTH[row["recording_id"]], 9):
            inside += 2 * (min(end, last) - max(start, first)) >= end - start
    assert record["about"]["segments"] == inside > 10
    fitted = command("tune", "confidence", copy / "out", "--reference", copy / "reference", "-o", copy / "tuned")
    assert fitted.code == 0, fitted.err
    again = json.loads((copy / "tuned/confidence.json").read_text(encoding="utf-8"))
    assert again["classes"] == record["classes"]
