"""Files made from results are known as older when these change; mixed results are reported wherever they are used."""

from __future__ import annotations

import json

import pytest
import soundfile
from making import RATE, babble

from commands import command, write_small_model, write_sounds


@pytest.fixture
def audio(tmp_path):
    return write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], seconds=2)


def notes(output):
    told = [line for line in command("status", output).err.splitlines() if line.startswith("note: ")]
    assert [f"note: {each}" for each in json.loads(command("status", output, "--json").out)["notes"]] == told
    return told


def test_tables_reports_and_exports_of_older_results(audio, small_model, tmp_path):
    run = ("segment", audio, "-o", tmp_path / "out", "--model", small_model)
    out = tmp_path / "out"
    command(*run)
    assert command("measures", out).code == 0
    assert command("report", out).code == 0
    assert command("export", out, "--to", "textgrid", "-o", tmp_path / "praat").code == 0
    figure = ("-o", tmp_path / "a.svg", "--recording", "a", "--from", "0:00")
    assert command("plot", out, *figure).code == 0
    assert command("methods", out).code == 0
    assert notes(out) == []
    command(*run, "--save-probs")  # the same segments
    assert notes(out) == []
    changed = command(*run, "--thresholds", "high-precision")
    expected = [
        f"note: {path}: made from older results (changed since: a, b); run 'babyhubert {verb}' again"
        for path, verb in [
            (out / "measures.csv", f"measures {out}"),
            (out / "report.html", f"report {out}"),
            (out / "methods.md", f"methods {out}"),
            (tmp_path / "a.svg", f"plot {out} -o {tmp_path / 'a.svg'} --recording a --from 0:00"),
            (tmp_path / "praat" / "textgrid", f"export {out} --to textgrid -o {tmp_path / 'praat'}"),
        ]
    ]
    assert sorted(notes(out)) == sorted(expected)
    assert all(line in changed.err.splitlines() for line in expected)
    command("measures", out)
    assert len(notes(out)) == 4
    (out / "report.html").unlink()
    soundfile.write(audio / "c.wav", babble(2 * RATE, RATE, seed=5), RATE)
    command(*run, "--thresholds", "high-precision")
    assert any("measures.csv: made from older results (new since: c)" in line for line in notes(out))
    assert not any("report.html" in line for line in notes(out))
    moved = out.rename(tmp_path / "moved")
    assert any(f"{moved / 'measures.csv'}: made from older results" in line for line in notes(moved))


def test_mixtures_are_told_by_status_measures_evaluate_and_export(audio, small_model, tmp_path):
    out = tmp_path / "out"
    command("segment", audio, "-o", out, "--model", small_model)
    command("segment", audio / "a.wav", "-o", out, "--model", small_model, "--thresholds", "high-precision")
    mixed = "made with 2 sets of settings that differ in thresholds (a; b)"
    reference = tmp_path / "reference"
    command("export", out, "--to", "rttm", "-o", reference)
    evaluate = ("evaluate", "voice-type", "--reference", reference / "rttm", "--predictions", out)
    for arguments in (("status", out), ("measures", out), ("export", out, "--to", "eaf"), evaluate):
        assert mixed in " ".join(command(*arguments).err.split()), arguments
    other = write_small_model(tmp_path / "other", seed=3)
    command("segment", audio / "a.wav", "-o", out, "--model", other)
    assert "made with 2 models" in command("status", out).err
