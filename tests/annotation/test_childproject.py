"""ChildProject projects: what is read from them, and what is wrong with them in the field."""

from pathlib import Path

import numpy as np
import pytest

from babyhubert.annotation.childproject import (
    ADDRESSEE_SET,
    PHONEMES_SET,
    VOICE_TYPE_SET,
    annotated_stretches,
    find_set,
    format_metannots,
    format_set_csv,
    kinds_in,
    read_project_recordings,
)
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import AnnotationError

HEADER = "set,recording_filename,time_seek,range_onset,range_offset,raw_filename,format,annotation_filename,error\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def project(tmp_path):
    """Two sets; in ``vtc`` one recording is annotated in two stretches, one is silent, one was not imported."""
    root = tmp_path / "étude 1"
    write(
        root / "metadata" / "recordings.csv",
        "experiment,child_id,recording_filename,duration\nx,1,sub/007.wav,60000\nx,2,Zoé 1.WAV,NA\nx,3,late.wav,\n",
    )
    write(
        root / "metadata" / "annotations.csv",
        HEADER
        + "vtc,sub/007.wav,0,0,10000,sub/007.rttm,vtc_rttm,sub/007_0_10000.csv,\n"
        + "vtc,sub/007.wav,0,20000,30000,sub/007.rttm,vtc_rttm,sub/007_20000_30000.csv,\n"
        + "vtc,Zoé 1.WAV,0,0,5000,z.rttm,vtc_rttm,Zoé 1_0_5000.csv,\n"
        + "vtc,late.wav,0,0,5000,late.rttm,vtc_rttm,,no such file\n"
        + "eaf/2021,late.wav,0,0,5000,late.eaf,eaf,late_0_5000.csv,NA\n",
    )
    columns = "segment_onset,segment_offset,speaker_type,addressee,raw_filename\n"
    folder = root / "annotations" / "vtc" / "converted"
    write(folder / "sub" / "007_0_10000.csv", columns + "100,200,CHI,NA,a\n150,400,FEM,T,a\n")
    write(folder / "sub" / "007_20000_30000.csv", "segment_onset,segment_offset,speaker_type\n21000,22000,OCH\n")
    write(folder / "Zoé 1_0_5000.csv", columns)
    write(root / "annotations" / "eaf/2021" / "converted" / "late_0_5000.csv", columns + "0,5000,MAL,A,b\n")
    write(root / "annotations" / "vtc" / "raw" / "sub" / "007.rttm", "")
    return root


@pytest.mark.parametrize("inside", ["annotations/vtc", "annotations/vtc/converted"])
def test_a_set_is_read_as_its_index_lists_it(project, inside):
    found = read_annotations(project / inside)
    assert found == {
        "sub/007": Segments.from_rows([(1600, 3200, "KCHI"), (2400, 6400, "FEM"), (336_000, 352_000, "OCH")]),
        "Zoé 1": Segments.empty(),
    }
    assert found["sub/007"].columns["addressee"].tolist() == ["", "KCDS", ""]
    stretches = annotated_stretches(find_set(project / inside))
    assert {name: np.transpose(spans).tolist() for name, spans in stretches.items()} == {
        "sub/007": [[0, 160_000], [320_000, 480_000]],
        "Zoé 1": [[0, 80_000]],
    }


def test_nested_sets_and_raw_files(project):
    assert read_annotations(project / "annotations" / "eaf" / "2021") == {
        "late": Segments.from_rows([(0, 80_000, "MAL")])
    }
    assert read_annotations(project / "annotations" / "vtc" / "raw") == {"sub/007": Segments.empty()}


def test_a_project_with_several_sets_asks_which(project):
    with pytest.raises(AnnotationError, match=r"several sets \(eaf/2021, vtc\); give .*annotations/<set>"):
        read_annotations(project)
    index = project / "metadata" / "annotations.csv"
    index.write_text("".join(line for line in index.open(encoding="utf-8") if "eaf" not in line), encoding="utf-8")
    assert sorted(read_annotations(project)) == ["Zoé 1", "sub/007"]
    index.unlink()
    with pytest.raises(AnnotationError, match="no annotations were imported"):
        read_annotations(project)


def test_an_annotation_that_was_never_fetched_is_named(project):
    file = project / "annotations" / "vtc" / "converted" / "Zoé 1_0_5000.csv"
    file.unlink()
    file.symlink_to("../../../.git/annex/objects/x")
    with pytest.raises(AnnotationError, match=r"Zoé 1_0_5000\.csv is not here .* run 'datalad get"):
        read_annotations(project / "annotations" / "vtc")


def test_recordings_keep_numbers_and_zeros_in_their_names(project):
    recordings = read_project_recordings(project)
    assert [(one.recording_id, one.duration_ms) for one in recordings] == [
        ("sub/007", 60_000),
        ("Zoé 1", None),
        ("late", None),
    ]
    names = RecordingNames((one.recording_id, one) for one in recordings)
    for given in ("sub/007", "007", "recordings/raw/sub/007"):
        assert names.find(given) == recordings[0]
    assert names.find("7") is None
    assert names.find("Zoé_1") == recordings[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recording_filename,duration\na.wav,1\na.wav,1\n", r"line 3: a\.wav and a\.wav are both called a"),
        ("recording_filename,duration\na.wav,1\na.mp3,1\n", r"a\.mp3 and a\.wav are both called a"),
        ("recording_filename,duration\na.wav,1:30\n", r"line 2: duration '1:30' is not in milliseconds"),
        ("filename\na.wav\n", "column recording_filename is missing"),
    ],
)
def test_tables_that_cannot_be_trusted_are_refused(tmp_path, text, message):
    write(tmp_path / "metadata" / "recordings.csv", text)
    with pytest.raises(AnnotationError, match=message):
        read_project_recordings(tmp_path)


def test_sets_are_written_in_childproject_codes():
    addressee = np.array(["", "KCDS", "ADS", "", "OCDS"], dtype=object)
    phonemes = np.array(["b a", None, None, "", None], dtype=object)
    label = np.array(["KCHI", "FEM", "MAL", "KCHI", "SPEECH"], dtype=object)
    start = np.arange(5) * 16_000
    segments = Segments(start, start + 8000, label, {"addressee": addressee, "phonemes": phonemes})
    assert kinds_in(segments) == (VOICE_TYPE_SET, ADDRESSEE_SET, PHONEMES_SET)
    assert kinds_in(Segments.empty()) == (VOICE_TYPE_SET,)
    assert format_set_csv(segments, VOICE_TYPE_SET, "d").splitlines()[1:] == [
        *("0,500,CHI", "1000,1500,FEM", "2000,2500,MAL", "3000,3500,CHI", "4000,4500,NA")
    ]
    assert format_set_csv(segments, ADDRESSEE_SET, "d").splitlines() == [
        "segment_onset,segment_offset,speaker_type,addressee",
        *("0,500,CHI,NA", "1000,1500,FEM,T", "2000,2500,MAL,A", "3000,3500,CHI,NA", "4000,4500,NA,C"),
    ]
    assert format_set_csv(segments, PHONEMES_SET, "d").splitlines() == [
        "segment_onset,segment_offset,speaker_type,phonemes,phonetic_transcription",
        *("0,500,CHI,2,b a", "3000,3500,CHI,0,NA"),
    ]


def test_metannots_is_yaml():
    yaml = pytest.importorskip("yaml")
    fields = {
        "segmentation": "babyhubert/vtc",
        "notes": 'a: "b" # é\nc',
        "has_speaker_type": "Y",
        "date": "2026-01-02",
    }
    assert yaml.safe_load(format_metannots(fields)) == fields
