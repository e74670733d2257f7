"""Clips drawn from strata: the allocation, the chances, and the estimates that use them; and the plan of a sample."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import soundfile
from making import RATE
from results_folders import read_rows, write_run
from scipy import stats

from babyhubert.annotation.segments import Segments
from babyhubert.exchange.chosen_clips import ClipSettings
from babyhubert.exchange.sample_plan import plan_sample
from babyhubert.exchange.strata import Cells, allocate, draw, stratify
from babyhubert.measures.results import read_results
from commands import command

SECONDS = {"a": 400.0, "b/c": 307.0, "d": 250.0}


def speech_of(seed: int, seconds: float) -> list[tuple[int, int, str]]:
    """Segments that are frequent in some minutes and rare in others."""
    draws = np.random.default_rng(seed)
    rows = []
    for second in range(0, int(seconds) - 2, 2):
        if draws.random() < 0.05 + 0.6 * (second // 40 % 3 == 0):
            start = second * 1000 + int(draws.integers(0, 500))
            label = str(draws.choice(["KCHI", "FEM", "MAL"]))
            rows.append((16 * start, 16 * (start + int(draws.integers(200, 1400))), label))
    return rows


FOUND = {name: speech_of(number, seconds) for number, (name, seconds) in enumerate(SECONDS.items())}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("strata")
    paths = {name: folder / "audio" / f"{name}.wav" for name in SECONDS}
    for name, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(int(SECONDS[name] * RATE), dtype=np.float32), RATE)
    return write_run(folder / "out", FOUND, SECONDS, paths=paths)


@pytest.fixture(scope="module")
def clips(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "clips"
    done = command("sample", run, "-o", folder, "--method", "stratified", "--clips", 6, "--length", 8)
    assert done.code == 0, done.err
    assert done.out.startswith("18 clips of 3 recordings")
    return folder


def test_the_allocation_has_the_least_variance_of_all_with_two_each():
    draws = np.random.default_rng(0)
    for _ in range(20):
        counts = [draws.poisson(m, draws.integers(4, 40)) for m in (0.2, 2, 9)]
        spread = [len(c) * np.sqrt(c.var() + c.mean()) for c in counts]
        got = allocate(counts, 11)

        def variance(number, spread=spread):
            return sum(s**2 / n for s, n in zip(spread, number, strict=True))

        possible = [
            n
            for n in product(range(2, 8), repeat=3)
            if sum(n) == 11 and all(m <= len(c) for m, c in zip(n, counts, strict=True))
        ]
        assert variance(got) == pytest.approx(min(map(variance, possible)))
    assert allocate([np.zeros(5), np.zeros(9)], 7) in ([2, 5], [3, 4])
    assert allocate([np.array([1, 2, 3, 4]), np.zeros(4)], 8) == [4, 4]


@pytest.mark.parametrize("number", [1, 7, 30, 200])
def test_strata_hold_every_cell_once_and_all_clips(number):
    draws = np.random.default_rng(number)
    cells = Cells(np.repeat([0, 1], 300), np.tile(np.arange(300) * 60_000, 2), draws.poisson(draws.gamma(0.5, 8, 600)))
    strata = stratify(cells, number)
    assert sorted(np.concatenate([stratum.cells for stratum in strata]).tolist()) == list(range(600))
    assert sum(stratum.clips for stratum in strata) == number
    assert min(stratum.clips for stratum in strata) >= (2 if number > 3 else 1)
    assert len(strata) == {1: 1, 7: 2, 30: 10, 200: 20}[number]
    dense = [stratum.clips / len(stratum.cells) for stratum in strata]
    if number == 200:
        assert np.mean(dense[-4:]) > 3 * np.mean(dense[:4])  # by volubility, then by hour


def test_every_moment_has_the_chance_that_its_stratum_says():
    draws = np.random.default_rng(5)
    recordings = [(name, 61_000, np.sort(draws.integers(0, 61_000 * 16, 60))) for name in ("x", "y")]
    hit, chance = np.zeros((2, 61)), np.zeros((2, 61))
    for seed in range(1500):
        drawn = draw(recordings, 5000, 3, seed)
        for row, name in enumerate(("x", "y")):
            for onset, stratum in drawn.clips[name]:
                first = onset / 1000
                covered = np.clip(np.minimum(np.arange(61) + 1, first + 5) - np.maximum(np.arange(61), first), 0, 1)
                hit[row] += covered / drawn.strata[stratum].inclusion
    chance = hit / 1500
    assert chance[:, 2:-2].mean() == pytest.approx(60 / 61, abs=0.03)  # Horvitz-Thompson: every second counts once
    assert abs(chance[:, 2:-2] - 60 / 61).max() < 0.25


def test_the_clips_tell_their_stratum_and_its_chance(clips):
    rows, about = read_rows(clips / "clips.csv"), json.loads((clips / "sample.json").read_text(encoding="utf-8"))
    strata = about["strata"]
    assert about["drawn_from"] == list(SECONDS)
    assert sum(one["cells"] for one in strata) == sum(int(seconds) // 8 for seconds in SECONDS.values())
    for number, stratum in enumerate(strata):
        own = [row for row in rows if row["stratum"] == str(number)]
        assert len(own) == stratum["clips"]
        told = stratum["clips"] / stratum["cells"]
        assert [float(row["inclusion"]) for row in own] == pytest.approx([told] * len(own), rel=1e-5)
    spans = sorted((row["recording_id"], int(row["segment_onset"]), int(row["segment_offset"])) for row in rows)
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in pairwise(spans))
    again = command("sample", *same(clips))
    assert again.code == 0, again.err
    assert "(kept as they are)" in again.out


def same(clips: Path) -> tuple[object, ...]:
    about = json.loads((clips / "sample.json").read_text(encoding="utf-8"))
    return (about["source"], "-o", clips, "--method", "stratified", "--clips", 6, "--length", 8)


def test_estimates_weigh_clips_by_the_chances_of_their_strata(run, clips, tmp_path):
    reference = tmp_path / "reference"
    assert command("sample", "--collect", clips, "-o", reference, "--include-unchanged").code == 0
    truth = {name: Segments.from_rows(speech_of(number + 9, SECONDS[name])) for number, name in enumerate(SECONDS)}
    for name, segments in truth.items():
        lines = [f"{s // 16},{e // 16},{label}\n" for s, e, label in segments]
        table = "segment_onset,segment_offset,speaker_type\n" + "".join(lines)
        path = reference / "csv" / f"{name}.csv"
        path.write_text(table.replace("KCHI", "CHI"), encoding="utf-8")
    (tmp_path / "children.csv").write_text("recording_id,child\na,1\nb/c,1\nd,2\n", encoding="utf-8")
    options = ("--recordings", tmp_path / "children.csv", "--by", "child", "-o", tmp_path / "est")
    done = command("estimate", run, "--reference", reference, *options)
    assert done.code == 0, done.err
    strata = json.loads((reference / "sample.json").read_text(encoding="utf-8"))["strata"]
    hours = sum(SECONDS.values()) / 8 / sum(one["cells"] for one in strata)
    wanted, by_child = 0.0, dict.fromkeys("12", 0.0)
    for row in read_rows(clips / "clips.csv"):
        first, last = (16 * int(row[f"segment_{side}set"]) for side in ("on", "off"))
        begun = sum(first < start < last for start, _, label in truth[row["recording_id"]] if label == "KCHI")
        worth = begun * hours / (strata[int(row["stratum"])]["clips"] / strata[int(row["stratum"])]["cells"])
        wanted += worth
        by_child["2" if row["recording_id"] == "d" else "1"] += worth
    rows = {(one["level"], one["name"]): one for one in read_rows(tmp_path / "est" / "estimate.csv")
            if one["measure"] == "kchi_segments"}  # fmt: skip
    edge = 1.0  # no segment begins with a tile
    assert float(rows["all", ""]["clips_alone"]) == pytest.approx(wanted * edge, rel=1e-3)
    parts = [float(rows["recording_id", name]["corrected"]) for name in SECONDS]
    if all(part > 0 for part in parts):
        assert sum(parts) == pytest.approx(float(rows["all", ""]["corrected"]), rel=1e-3)
    for child, worth in by_child.items():
        assert float(rows["child", child]["clips_alone"]) == pytest.approx(worth, rel=1e-3)


def test_a_stratum_without_annotated_clip_is_refused_by_name(run, clips, tmp_path):
    copy, reference = tmp_path / "clips", tmp_path / "reference"
    shutil.copytree(clips, copy)
    assert command("sample", "--collect", copy, "-o", reference, "--include-unchanged").code == 0
    row = read_rows(copy / "clips.csv")[0]
    kept = [
        (int(other["segment_onset"]) / 1000, int(other["segment_offset"]) / 1000, other["recording_id"])
        for other in read_rows(copy / "clips.csv")
        if other["stratum"] != row["stratum"]
    ]
    lines = "".join(f"{name} 1 {onset} {offset}\n" for onset, offset, name in kept)
    (reference / "annotated.uem").write_text(lines, encoding="utf-8")
    done = command("estimate", run, "--reference", reference)
    assert done.code == 2
    assert "is annotated, and no other stands for it; annotate one, such as that of" in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strata": None}, "does not describe the strata"),
        ({"strata": [{"name": "x", "cells": 1}]}, "are not of the strata"),
        ({"settings": {"method": "random"}, "methods": ["random"]}, "does not fit method random"),
        ({"methods": ["random", "stratified"]}, "clips of 2 methods (random, stratified)"),
    ],
)
def test_strata_that_do_not_fit_the_clips_are_refused(run, clips, tmp_path, change, said):
    reference = tmp_path / "reference"
    assert command("sample", "--collect", clips, "-o", reference, "--include-unchanged").code == 0
    path = reference / "sample.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    done = command("estimate", run, "--reference", reference)
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if "error" in line]
    assert said in line


def test_clips_of_two_methods_in_one_folder_are_refused(run, clips, tmp_path):
    copy = tmp_path / "clips"
    shutil.copytree(clips, copy)
    table = copy / "clips.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",stratified,", ",random,", 1), encoding="utf-8")
    assert command("sample", "--collect", copy, "-o", tmp_path / "reference", "--include-unchanged").code == 0
    done = command("estimate", run, "--reference", tmp_path / "reference")
    assert done.code == 2
    assert "clips of 2 methods (random, stratified), which have no common weights" in done.err


def test_recordings_that_were_not_there_at_the_drawing_are_left_out(run, clips, tmp_path):
    reference = tmp_path / "reference"
    assert command("sample", "--collect", clips, "-o", reference, "--include-unchanged").code == 0
    more = write_run(tmp_path / "out", {**FOUND, "new": FOUND["a"]}, {**SECONDS, "new": 400.0})
    done = command("estimate", more, "--reference", reference)
    assert done.code == 0, done.err
    assert "1 recordings were not there when the clips were drawn, left out: new" in done.err
    assert "All recordings: 3 recordings" in done.out


@pytest.mark.parametrize("method", ["random", "stratified"])
def test_the_plan_has_the_variance_of_drawing_the_machines_own_cells(run, method):
    plan = plan_sample(read_results(run), ClipSettings(method=method, length_ms=8000, voice="any"))
    assert list(plan.each) == [1, 2, 4, 8, 16]
    assert plan.minutes.tolist() == pytest.approx([3 * each * 8 / 60 for each in plan.each])
    k = list(plan.measures).index("kchi_segments")
    counts = []
    for name, seconds in SECONDS.items():
        onset = [s for s, _, label in FOUND[name] if label == "KCHI"]
        counts.append(
            np.array([sum(a < s < a + 128_000 for s in onset) for a in range(0, int(seconds / 8) * 128_000, 128_000)])
        )
    total = sum(map(sum, counts))
    if method == "random":
        for row, each in enumerate(plan.each[1:], start=1):
            variance = sum(len(c) ** 2 * (1 - each / len(c)) * np.var(c, ddof=1) / each for c in counts)
            wanted = stats.t.ppf(0.975, 3 * (each - 1)) * np.sqrt(variance) / total
            assert plan.alone[row, k] == pytest.approx(wanted, rel=1e-9)
    assert (np.diff(plan.alone[1:, k]) < 0).all()
    assert plan.with_machine[2, k] == pytest.approx(plan.alone[2, k] * np.sqrt(0.19))


def test_the_plan_as_a_user_sees_it(run):
    done = command("sample", run, "--plan", "--method", "stratified", "--length", 8)
    assert done.code == 0, done.err
    assert "1.6 min (4)" in done.out
    assert "kchi_speech_min" in done.out
    assert "assume that people find amounts that vary as the machine's do" in done.out
    assert command("sample", run, "--plan", "--method", "high-volubility").code == 2
    long = command("sample", run, "--plan", "--length", 900)
    assert long.code == 2
    assert "has no room for two clips of 900 s" in long.err
    assert "-o FOLDER is needed" in command("sample", run).err
