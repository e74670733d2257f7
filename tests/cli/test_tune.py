"""``babyhubert tune`` as a user runs it: segment, tune, segment again with what was tuned."""

from __future__ import annotations

import csv
import json
import shutil
import tomllib

import numpy as np
import pytest

from babyhubert.annotation.rttm import read_rttm, write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.review.answers import Answers
from babyhubert.review.segments_to_ask import SegmentToAsk
from commands import command, write_small_model, write_sounds

CLASSES = ["KCHI", "OCH", "MAL", "FEM"]


@pytest.fixture(scope="module")
def segmented(small_model, tmp_path_factory):
    """A run over three recordings, and a reference made from its own scores at other thresholds."""
    folder = tmp_path_factory.mktemp("tune")
    audio = write_sounds(folder / "audio", ["a.wav", "day/b.wav", "day/c.wav"], seconds=8)
    out = folder / "out"
    assert command("segment", audio, "-o", out, "--model", small_model, "--overlap", 0).code == 0
    for name in ("a", "day/b", "day/c"):
        scores = np.load(out / ".babyhubert/segment/scores" / f"{name}.npy").astype(float)
        segments = {}
        for column, label in enumerate(CLASSES):
            edges = np.flatnonzero(np.diff(np.concatenate([[0], scores[:, column] > 0.62, [0]]))) * 320
            segments[label] = (edges[::2], edges[1::2])
        write_rttm(folder / f"truth/{name}.rttm", name, Segments.from_intervals(segments))
    return audio, out, folder / "truth"


def test_tuned_thresholds_go_straight_into_segment(segmented, small_model, tmp_path):
    audio, out, truth = segmented
    tuned = tmp_path / "tuned"
    result = command("tune", "voice-type", "--reference", truth, "--scores", out, "-o", tuned, "--bootstrap", 50)
    assert result.code == 0, result.err
    for expected in ("at 0.5", "held out", "High precision", "written:", "--min-on 0.1 --min-off 0.1"):
        assert expected in result.out
    record = json.loads((tuned / "tuning.json").read_text(encoding="utf-8"))
    assert record["model"]["source"] == str(small_model)
    assert record["f1"]["evaluation"]["mean"]["f1"] >= record["at_half"]["mean"]["f1"]
    assert record["f1"]["evaluation"]["mean"]["f1"] > record["at_half"]["mean"]["f1"] + 0.05
    again = tmp_path / "again"
    options = ("--model", small_model, "--overlap", 0, "--thresholds", tuned / "f1.toml")
    assert command("segment", audio, "-o", again, *options).code == 0
    options = ("--reference", truth, "--predictions", again, "-o", tmp_path / "scores")
    assert command("evaluate", "voice-type", *options).code == 0
    scored = json.loads((tmp_path / "scores/evaluation.json").read_text(encoding="utf-8"))
    for label in CLASSES:
        promised = record["f1"]["evaluation"]["classes"][label]["f1"]
        assert scored["classes"][label]["f1"] == pytest.approx(promised)
    assert read_rttm(again / "rttm/a.rttm")


def test_tuning_judges_by_the_rule_for_overlap_of_the_model(segmented, small_model, tmp_path):
    audio, _, truth = segmented
    assert command("convert", small_model, tmp_path / "model", "--simultaneous", 0.7).code == 0
    options = ("--model", tmp_path / "model", "--overlap", 0)
    out, tuned = tmp_path / "out", tmp_path / "tuned"
    assert command("segment", audio, "-o", out, *options).code == 0
    assert (
        command("tune", "voice-type", "--reference", truth, "--scores", out, "-o", tuned, "--bootstrap", 0).code == 0
    )
    record = json.loads((tuned / "tuning.json").read_text(encoding="utf-8"))
    for name in ("f1", "high-precision", "high-recall"):
        again, scores = tmp_path / name, tmp_path / f"scores-{name}"
        assert command("segment", audio, "-o", again, *options, "--thresholds", tuned / f"{name}.toml").code == 0
        assert command("evaluate", "voice-type", "--reference", truth, "--predictions", again, "-o", scores).code == 0
        found = json.loads((scores / "evaluation.json").read_text(encoding="utf-8"))["classes"]
        judged = record[name.replace("-", "_")]["evaluation"]["classes"]
        assert {label: found[label]["f1"] for label in CLASSES} == pytest.approx(
            {label: judged[label]["f1"] for label in CLASSES}
        )


def test_minimum_durations_and_calibration(segmented, small_model, tmp_path):
    _, out, truth = segmented
    options = ("--reference", truth, "--scores", out, "--step", 0.05, "-o", tmp_path / "tuned")
    result = command("tune", "voice-type", *options, "--minimum-durations", "--calibrate", "temperature-bias")
    assert result.code == 0, result.err
    for expected in ("KCHI: scores and what is so", "temperature", "chosen from 36 pairs"):
        assert expected in result.out
    correction = tomllib.loads((tmp_path / "tuned/calibration.toml").read_text(encoding="utf-8"))
    assert list(correction) == CLASSES
    record = json.loads((tmp_path / "tuned/tuning.json").read_text(encoding="utf-8"))
    chosen = record["f1"]["minimum_samples"]
    # The reference holds every run above 0.62, however short: dropping none is best.
    assert (chosen["on"], chosen["off"]) == (0, 0)
    copied = command("convert", small_model, tmp_path / "copy", "--thresholds", tmp_path / "tuned")
    assert copied.code == 0, copied.err
    assert "run 'segment --min-on 0 --min-off 0'" in copied.err
    assert "another model" not in copied.err
    other = command(
        "convert", write_small_model(tmp_path / "other", 1), tmp_path / "o", "--thresholds", tmp_path / "tuned"
    )
    assert f"tuned on another model, {small_model}" in other.err
    assert (tmp_path / "tuned/reliability.csv").read_text(encoding="utf-8").count("held out") > 4


def test_what_cannot_be_tuned_is_said_in_one_line(segmented, tmp_path):
    _, out, truth = segmented
    (tmp_path / "empty").mkdir()
    for options, message in (
        (("--reference", truth, "--scores", tmp_path / "empty"), "holds no frame scores"),
        (("--reference", tmp_path / "none", "--scores", out), "none"),
        (("--reference", truth, "--scores", out, "--step", 0), "step 0.0"),
        (("--reference", truth, "--scores", out, "--calibrate", "platt"), "--calibrate platt: one of"),
        (("--reference", truth, "--scores", out, "--min-on", -1), "--min-on -1.0"),
    ):
        result = command("tune", "voice-type", *options)
        assert result.code == 2
        assert message in result.error


class TestConfidence:
    def test_what_is_fitted_goes_into_segment_and_its_record(self, segmented, small_model, tmp_path):
        audio, out, truth = segmented
        tuned = tmp_path / "tuned"
        result = command("tune", "confidence", out, "--reference", truth, "-o", tuned, "--bootstrap", 50)
        assert result.code == 0, result.err
        for expected in ("Probability that a segment is right, 3 recordings", "held out", "Brier score", "written:"):
            assert expected in result.out
        record = json.loads((tuned / "confidence.json").read_text(encoding="utf-8"))
        assert record["about"]["model"]["source"] == str(small_model)
        assert record["about"]["reference"] == str(truth)
        rows = list(csv.DictReader((tuned / "reliability.csv").open(encoding="utf-8")))
        counted = sum(
            int(row["segments"]) for row in rows if row["class"] != "all" and row["probabilities"] == "held out"
        )
        assert counted == record["about"]["segments"] > 20
        again = tmp_path / "again"
        options = ("--model", small_model, "--overlap", 0, "--confidence-from", tuned / "confidence.json")
        assert command("segment", audio, "-o", again, *options).code == 0
        before, after = (list(csv.DictReader((run / "rttm.csv").open(encoding="utf-8"))) for run in (out, again))
        for old, new in zip(before, after, strict=True):
            fit = record["classes"][new["label"]]
            odds = np.log(float(old["confidence"]) / (1 - float(old["confidence"])))
            expected = 1 / (1 + np.exp(-fit["intercept"] - fit["slope"] * odds))
            assert float(new["confidence"]) == pytest.approx(expected, abs=1e-3)
        assert json.loads((again / "run.json").read_text(encoding="utf-8"))["settings"]["confidence_from"]["reference"]

    def test_answers_of_people_count_like_a_reference(self, segmented, tmp_path):
        _, out, truth = segmented
        by_reference, by_people = tmp_path / "reference", tmp_path / "people"
        assert command("tune", "confidence", out, "--reference", truth, "-o", by_reference, "--bootstrap", 0).code == 0
        lines = ["recording_id,start_s,end_s,label,score,answer,annotator,time\n"]
        reference = {name: read_rttm(truth / f"{name}.rttm").get(name) for name in ("a", "day/b", "day/c")}
        for row in csv.DictReader((out / "rttm.csv").open(encoding="utf-8")):
            start, end = (round(16_000 * value) for value in span_of(row))
            shared = 0
            for s, e, label in reference[row["uid"]]:
                shared += max(min(e, end) - max(s, start), 0) if label == row["label"] else 0
            answer = "right" if 2 * shared >= end - start else ("wrong", "none", "elephant")[len(lines) % 3]
            times = f"{row['uid']},{start / 16000:.3f},{end / 16000:.3f},{row['label']}"
            lines.append(f"{times},,{answer},ann,\n")
            lines.append(f"{times},,unsure,ben,\n")
        (tmp_path / "reviewed_segments.csv").write_text("".join(lines), encoding="utf-8")
        options = ("--reviewed", tmp_path / "reviewed_segments.csv", "-o", by_people, "--bootstrap", 0)
        result = command("tune", "confidence", out, *options)
        assert result.code == 0, result.err
        assert f"{len(lines) // 2} answers 'unsure' do not count" in result.err
        first, second = (
            json.loads((folder / "confidence.json").read_text(encoding="utf-8"))
            for folder in (by_reference, by_people)
        )
        assert first["classes"] == second["classes"]
        assert first["evaluation"] == second["evaluation"]

    def test_what_the_review_page_stores_is_read(self, segmented, tmp_path):
        _, out, _ = segmented
        page, right = Answers(tmp_path, "ann"), 0
        for number, row in enumerate(csv.DictReader((out / "rttm.csv").open(encoding="utf-8"))):
            start, end = (round(1000 * value) for value in span_of(row))
            other = next(label for label in CLASSES if label != row["label"])
            answer = ("right", "wrong", "none", other, "right", "unsure")[number % 6]
            page.store(SegmentToAsk(row["uid"], start, end, row["label"], float(row["confidence"])), answer)
            right += answer == "right"
        result = command(
            "tune", "confidence", out, "--reviewed", page.path, "-o", tmp_path / "tuned", "--bootstrap", 0
        )
        assert result.code == 0, result.err
        assert "any more" not in result.err  # every segment is still one of the run
        found = json.loads((tmp_path / "tuned/confidence.json").read_text(encoding="utf-8"))["evaluation"]["classes"]
        assert sum(one["right"] for one in found.values()) == right > 5

    def test_annotated_stretches_alone_count(self, segmented, tmp_path):
        _, out, truth = segmented
        shutil.copytree(truth, tmp_path / "truth")
        (tmp_path / "truth/annotated.uem").write_text("a 1 0 4\nday/b 1 2 6\n", encoding="utf-8")
        result = command("tune", "confidence", out, "--reference", tmp_path / "truth", "--bootstrap", 0)
        assert result.code == 0, result.err
        assert "2 recordings" in result.out

    def test_what_cannot_be_fitted_is_said(self, segmented, tmp_path):
        _, out, _ = segmented
        assert "give --reference, or --reviewed" in command("tune", "confidence", out).error
        header = "recording_id,start_s,end_s,label,answer\n"
        for text, told in (
            (header + "zebra,0,1,KCHI,right\n", "its recordings are not in the run: zebra"),
            (header + "a,0,1,KCHI,\n", "line 2: no answer"),
            (header + "a,0,1,KCHI,right\n", "1 reviewed segments: at least 10"),
            ("recording_id,start_s,end_s,label\n", "column answer is missing"),
        ):
            (tmp_path / "r.csv").write_text(text, encoding="utf-8")
            assert told in command("tune", "confidence", out, "--reviewed", tmp_path / "r.csv").error
        other = tmp_path / "other"
        write_rttm(other / "zebra.rttm", "zebra", Segments.from_rows([(0, 16_000, "KCHI")]))
        assert "no prediction carries the name" in command("tune", "confidence", out, "--reference", other).error


def span_of(row):
    start = float(row["start_time_s"])
    return start, start + float(row["duration_s"])


def test_a_model_brings_the_meaning_of_its_confidences(segmented, small_model, tmp_path):
    audio, out, truth = segmented
    assert command("tune", "confidence", out, "--reference", truth, "-o", tmp_path, "--bootstrap", 0).code == 0
    file, copy = tmp_path / "confidence.json", tmp_path / "model"
    converted = command("convert", small_model, copy, "--confidence", file)
    assert (converted.code, converted.err) == (0, "")
    stored = json.loads((copy / "task.json").read_text(encoding="utf-8"))["confidence"]
    assert stored["classes"] == json.loads(file.read_text(encoding="utf-8"))["classes"]
    tables = []
    for folder, options in (
        ("given", ("--model", small_model, "--confidence-from", file)),
        ("own", ("--model", copy)),
    ):
        made = command("segment", audio, "-o", tmp_path / folder, "--overlap", 0, *options)
        assert made.code == 0, made.err
        tables.append((tmp_path / folder / "rttm.csv").read_bytes())
        run = json.loads((tmp_path / folder / "run.json").read_text(encoding="utf-8"))
        assert run["settings"]["confidence"]["kind"] == "probability"
    assert tables[0] == tables[1]
    told = command("convert", write_small_model(tmp_path / "other", seed=5), tmp_path / "b", "--confidence", file)
    assert f"fitted on another model, {small_model}" in told.err
    other = {"format": 1, "classes": {"KCHI": {"intercept": 0, "slope": 1}}}
    (tmp_path / "other.json").write_text(json.dumps(other), encoding="utf-8")
    refused = command("convert", small_model, tmp_path / "c", "--confidence", tmp_path / "other.json")
    assert "confidences are for KCHI; this model's classes are" in refused.error
