"""``segment``, ``addressee`` and ``phonemes`` into one folder, then ``measures``, ``report`` and ``plot`` over it."""

from __future__ import annotations

import pytest
from reading_pages import data_of, rows_of
from results_folders import read_rows
from task_models import write_task_model

from babyhubert.annotation.reading import read_segments
from commands import command, write_sounds


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    model = write_task_model(folder / "model", ["voice_type", "addressee", "phonemes"])
    audio = write_sounds(folder / "audio", ["a b/dáy.wav", "c.wav"], seconds=6)
    (audio / "broken.wav").write_text("not audio", encoding="utf-8")
    for verb in ("segment", "addressee", "phonemes"):
        assert command(verb, audio, "-o", folder / "out", "--model", model).code == 1
    return folder / "out"


def test_every_part_is_measured(run):
    result = command("measures", run)
    assert result.code == 0, result.err
    assert "2 recordings measured" in result.out
    found = read_segments(run / "rttm.csv")
    for row in read_rows(run / "measures.csv"):
        segments = found[row["recording_id"]]
        for label in ("KCHI", "OCH", "MAL", "FEM"):
            assert int(row[f"{label.lower()}_segments"]) == len(segments.of(label))
        assert int(row["utterances"]) == len(segments.of("KCHI"))
        minutes = sum(float(row[name]) for name in ("kcds_min", "ads_min", "other_addressee_min"))
        assert minutes >= float(row["adult_speech_min"]) - 1e-3
    phonemes = [r["phonemes"].split() for r in read_rows(run / "phonemes" / "c.csv")]
    (row,) = [row for row in read_rows(run / "measures.csv") if row["recording_id"] == "c"]
    assert int(row["phonemes"]) == sum(map(len, phonemes)) > 0


def test_the_page_shows_every_part(run):
    assert command("report", run, "--with-clips", 2).code == 0
    data = data_of(run / "report.html")
    assert [detail["id"] for detail in data["recordings"]] == ["a b/dáy", "c"]
    assert set(data["about"]["also"]) == {"addressee", "phonemes"}
    assert len({failure["path"] for failure in data["about"]["failures"]}) == 1
    found = read_segments(run / "rttm.csv")
    for detail in data["recordings"]:
        assert rows_of(detail) == sorted(tuple(row) for row in found[detail["id"]])
        assert detail["levels"] is not None
        assert detail["doubtful"] is not None
        assert any(detail["lanes"]["KCHI"]["phonemes"])
        assert detail["lanes"]["FEM"]["addressees"]
        assert len(detail["clips"]) == 2


def test_the_figure_is_drawn(run, tmp_path):
    assert command("plot", run, "-o", tmp_path / "a.png", "--recording", "c", "--dpi", 40).code == 0
