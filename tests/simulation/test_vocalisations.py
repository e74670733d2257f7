"""The truth of scenes tells how children vocalise, and training material takes it by its column."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile

from babyhubert.errors import AnnotationError
from babyhubert.material.settings import DataSource, SkippedMaterial
from babyhubert.material.sources import read_source
from babyhubert.simulation.writer import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, recordings=1, minutes=3, seed=5)
    return folder


def rows_of(folder):
    with (folder / "segments.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_children_vocalise_in_several_manners_and_adults_have_none(scenes):
    rows = rows_of(scenes)
    adults = {row["vocalisation"] for row in rows if row["label"] in ("FEM", "MAL")}
    children = {row["vocalisation"] for row in rows if row["label"] in ("KCHI", "OCH")}
    assert adults == {""}
    assert {"cry", "speech_like"} <= children <= {"cry", "speech_like", "other"}


def test_cries_and_squeals_have_no_phones(scenes):
    with (scenes / "phonemes.csv").open(encoding="utf-8", newline="") as file:
        said = {(row["start_s"], row["label"]): row["phones"] for row in csv.DictReader(file)}
    told = [
        (said[row["start_s"], row["label"]], row) for row in rows_of(scenes) if (row["start_s"], row["label"]) in said
    ]
    assert told
    assert all(bool(phones) == (row["vocalisation"] in ("", "speech_like")) for phones, row in told)


@pytest.fixture
def sounds(tmp_path):
    for name in ("1-a", "1-b", "2-a"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(8_000, 0.1, dtype=np.float32), 16_000)
    return tmp_path


def test_a_folder_of_sounds_is_material_whose_rows_have_the_fields_of_its_source(sounds):
    found = read_source(DataSource(path=str(sounds), select=["1-*"], fields={"mood": "calm"}))
    assert [recording.file.recording_id for recording in found] == ["1-a", "1-b"]
    assert [(row.start, row.end, dict(row.fields)) for recording in found for row in recording.rows] == [
        (0, None, {"mood": "calm"})
    ] * 2


def test_where_takes_rows_by_their_columns_and_tells_which_it_skips(sounds):
    table = sounds / "rows.csv"
    table.write_text("path,voice,mood\n1-a.wav,CHI,\n1-b.wav,FEM,\n2-a.wav,CHI,loud\n", encoding="utf-8")
    left_out = SkippedMaterial()
    source = DataSource(path=str(table), where={"voice": ["CHI"]}, fields={"mood": "calm"})
    rows = [row for recording in read_source(source, left_out) for row in recording.rows]
    assert [row.fields["mood"] for row in rows] == ["calm", "loud"]
    assert len(left_out.items["not of the voice that its source names"]) == 1


def test_a_column_that_is_not_there_is_named(sounds):
    table = sounds / "rows.csv"
    table.write_text("path,voice\n1-a.wav,CHI\n", encoding="utf-8")
    with pytest.raises(AnnotationError, match="no column age"):
        read_source(DataSource(path=str(table), where={"age": ["3"]}))
