"""``babyhubert export`` as a user runs it: what stands where, and what is said of what cannot be done."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from praatio import textgrid as praat
from pympi.Elan import Eaf
from results_folders import write_run

from babyhubert.annotation.csv_tables import write_childproject_csv
from babyhubert.annotation.reading import read_annotations, read_segments
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from commands import command, contents, write_sounds

ROWS = {
    "sub/Zoé 1": [(160, 32_000, "KCHI"), (16_000, 48_000, "FEM"), (20_000, 40_000, "FEM")],
    "007": [(0, 16_000, "MAL")],
    "silent": [],
}


@pytest.fixture
def run(tmp_path) -> Path:
    """An output folder of three recordings whose audio is gone."""
    return write_run(tmp_path / "out", ROWS, seconds=5.0)


def table(name: str) -> Segments:
    return Segments.from_rows(ROWS[name])


def write_project(root: Path, rows: str = "x,sub/Zoé 1.wav,5000\nx,007.wav,5000\nx,silent.wav,5000\n") -> Path:
    (root / "metadata").mkdir(parents=True)
    (root / "metadata" / "recordings.csv").write_text(f"experiment,recording_filename,duration\n{rows}", "utf-8")
    return root


FORMATS = {"eaf": "eaf", "textgrid": "TextGrid", "audacity": "txt"}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_recording_has_its_file_and_comes_back(run, tmp_path, kind):
    outcome = command("export", run, "--to", kind)
    assert (outcome.code, outcome.out) == (0, f"3 recordings exported, 0 failed: {run}\n")
    assert {path.relative_to(run / kind).as_posix() for path in (run / kind).rglob("*") if path.is_file()} == {
        f"{name}.{FORMATS[kind]}" for name in ROWS
    }
    assert read_annotations(run / kind) == {name: table(name) for name in ROWS}
    if kind != "audacity":
        assert "note: sub/Zoé 1: overlapping segments of one label are on further tiers: FA1" in outcome.err


def test_several_formats_elsewhere_leave_the_run_as_it_was(run, tmp_path):
    before = contents(run)
    to = [word for name in ("eaf", "lena", "rttm", "csv", "EAF") for word in ("--to", name)]
    outcome = command("export", run, *to, "-o", tmp_path / "x")
    assert outcome.code == 0
    assert contents(run) == before
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["csv", "eaf", "lena.csv", "rttm"]
    assert (tmp_path / "x" / "csv" / "silent.csv").read_text() == "segment_onset,segment_offset,speaker_type\n"
    assert (tmp_path / "x" / "lena.csv").read_text("utf-8").splitlines()[1] == "007,MAN,0.000,1.000,1.000"


def test_a_run_is_read_right_whatever_was_exported_into_it(run):
    before = read_annotations(run)
    assert command("export", run, "--to", "eaf", "--to", "childproject", "--to", "audacity").code == 0
    assert read_annotations(run) == before


def test_audio_gives_links_and_lengths(run, tmp_path):
    audio = write_sounds(tmp_path / "audio", ["sub/Zoé 1.wav", "007.flac", "silent.wav"], seconds=6)
    outcome = command("export", run, "--to", "eaf", "--to", "textgrid", "--audio", audio, "-o", tmp_path / "x")
    assert outcome.code == 0, outcome.err
    (link,) = Eaf(str(tmp_path / "x" / "eaf" / "007.eaf")).get_linked_files()
    assert link["MEDIA_URL"] == (audio / "007.flac").as_uri()
    assert (link["RELATIVE_MEDIA_URL"], link["MIME_TYPE"]) == ("../../audio/007.flac", "audio/x-flac")
    grid = praat.openTextgrid(str(tmp_path / "x" / "textgrid" / "sub" / "Zoé 1.TextGrid"), True)
    assert grid.maxTimestamp == 6.0


def test_without_audio_links_and_lengths_are_those_of_the_run(run):
    assert command("export", run, "--to", "eaf", "--to", "textgrid").code == 0
    (link,) = Eaf(str(run / "eaf" / "007.eaf")).get_linked_files()
    assert link["MEDIA_URL"] == "file:///nowhere/007.wav"
    assert praat.openTextgrid(str(run / "textgrid" / "silent.TextGrid"), True).maxTimestamp == 5.0


def test_tiers_named_as_the_labels(run):
    assert command("export", run, "--to", "eaf", "--tiers", "labels").code == 0
    tiers = Eaf(str(run / "eaf" / "sub" / "Zoé 1.eaf")).get_tier_names()
    assert list(tiers) == ["KCHI", "OCH", "MAL", "FEM", "FEM-2"]


def test_confidences_on_request_in_every_format_that_has_a_place(run, tmp_path):
    segments = table("007")
    told = [f"{0.5 + number / 100:.4f}" for number in range(len(segments))]
    found = Segments(segments.start, segments.end, segments.label, {"confidence": np.array(told, dtype=object)})
    write_childproject_csv(run / "csv" / "007.csv", found)
    to = [word for name in ("eaf", "textgrid", "rttm", "csv", "childproject") for word in ("--to", name)]
    assert command("export", run, *to, "-o", tmp_path / "without").code == 0
    outcome = command("export", run, *to, "--confidence", "-o", tmp_path / "with")
    assert outcome.code == 0, outcome.err
    assert "sub/Zoé 1: has no confidences" in outcome.err
    assert "<NA> <NA>\n" in (tmp_path / "without/rttm/007.rttm").read_text("utf-8")
    scores = [line.split()[8] for line in (tmp_path / "with/rttm/007.rttm").read_text("utf-8").splitlines()]
    assert scores == told
    assert read_segments(tmp_path / "with/rttm/007.rttm") == {"007": segments}
    for name in ("eaf/007.eaf", "textgrid/007.TextGrid", "csv/007.csv"):
        (again,) = read_segments(tmp_path / "with" / name, "007").values()
        assert again == segments
        assert again.columns["confidence"].tolist() == told
    assert "confidence@" not in (tmp_path / "without/eaf/007.eaf").read_text("utf-8")
    rows = (tmp_path / "with/childproject/annotations/babyhubert/vtc/raw/007.csv").read_text("utf-8").splitlines()
    assert rows[0] == "segment_onset,segment_offset,speaker_type,confidence"
    assert [row.rsplit(",", 1)[1] for row in rows[1:]] == told
    plain = (tmp_path / "without/childproject/annotations/babyhubert/vtc/raw/007.csv").read_text("utf-8").splitlines()
    assert plain == [row.rsplit(",", 1)[0] for row in rows]


def test_a_set_for_any_project(run):
    assert command("export", run, "--to", "childproject", "--sets", "lab/vtc2").code == 0
    folder = run / "childproject" / "annotations" / "lab/vtc2" / "vtc"
    assert sorted(contents(folder)) == [
        "metannots.yml",
        *(f"raw/{name}.{kind}" for name in ("007", "silent", "sub/Zoé 1") for kind in ("csv", "rttm")),
    ]
    assert 'segmentation: "lab/vtc2/vtc"\n' in (folder / "metannots.yml").read_text("utf-8")


def test_names_of_a_project_are_found_whatever_folder_was_given(tmp_path):
    run = write_run(tmp_path / "out", {"recordings/raw/sub/Zoé_1": [(0, 160, "FEM")], "007": []}, 5.0)
    project = write_project(tmp_path / "p")
    outcome = command("export", run, "--childproject", project)
    assert outcome.code == 0, outcome.err
    folder = project / "annotations" / "babyhubert" / "vtc"
    assert outcome.out == f"2 recordings exported, 0 failed: {folder}\n"
    assert (folder / "raw" / "sub" / "Zoé 1.csv").read_text("utf-8").splitlines()[1:] == ["0,10,FEM"]
    assert (folder / "import.csv").read_text("utf-8").splitlines()[1:] == [
        "babyhubert/vtc,007.wav,0,0,5000,007.csv,csv",
        "babyhubert/vtc,sub/Zoé 1.wav,0,0,5000,sub/Zoé 1.csv,csv",
    ]
    assert f"child-project import-annotations {project}" in outcome.err


def test_recordings_that_a_project_does_not_list_are_told_and_the_others_written(run, tmp_path):
    project = write_project(tmp_path / "p", "x,007.wav,NA\n")
    outcome = command("export", run, "--childproject", project)
    assert outcome.code == 1
    for name in ("sub/Zoé 1", "silent"):
        assert outcome.err.count(f"failed: {name}: not in {project / 'metadata' / 'recordings.csv'}") == 1
    table = (project / "annotations/babyhubert/vtc/import.csv").read_text("utf-8")
    assert table.splitlines()[1:] == ["babyhubert/vtc,007.wav,0,0,5000,007.csv,csv"]


def test_lengths_that_a_project_has_wrong_are_told(run, tmp_path):
    project = write_project(tmp_path / "p", "x,007.wav,0\nx,silent.wav,3000\nx,sub/Zoé 1.wav,5000\nx,gone.wav,9\n")
    outcome = command("export", run, "--childproject", project)
    assert outcome.code == 1
    assert outcome.err.count("failed: 007: 007.wav has duration 0 in the project") == 1
    assert outcome.err.count("note: silent: 5000 ms long, but 3000 in the project's recordings.csv") == 1
    assert "2 recordings of the project stay without: 007.wav, gone.wav" in outcome.err
    table = (project / "annotations/babyhubert/vtc/import.csv").read_text("utf-8")
    assert [line.split(",")[1:5] for line in table.splitlines()[1:]] == [
        ["silent.wav", "0", "0", "3000"],
        ["sub/Zoé 1.wav", "0", "0", "5000"],
    ]


def test_two_recordings_that_mean_one_of_the_project(tmp_path):
    run = write_run(tmp_path / "out", {"a/day": [(0, 160, "FEM")], "b/a/day": [(0, 320, "FEM")]}, 5.0)
    outcome = command("export", run, "--childproject", write_project(tmp_path / "p", "x,a/day.wav,5000\n"))
    assert outcome.code == 1
    assert "b/a/day and a/day both mean a/day.wav; keep one" in outcome.err
    assert (tmp_path / "p/annotations/babyhubert/vtc/raw/a/day.csv").read_text().splitlines()[1:] == ["0,10,FEM"]


def test_the_stretches_that_a_set_covers_become_a_uem(tmp_path):
    project = write_project(tmp_path / "p")
    header = "set,recording_filename,range_onset,range_offset,annotation_filename\n"
    (project / "metadata" / "annotations.csv").write_text(header + "eaf,sub/Zoé 1.wav,1000,2500,z.csv\n", "utf-8")
    folder = project / "annotations" / "eaf" / "converted"
    folder.mkdir(parents=True)
    (folder / "z.csv").write_text("segment_onset,segment_offset,speaker_type\n1000,1200,CHI\n")
    outcome = command("export", project, "--to", "rttm", "-o", tmp_path / "x")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "x" / "annotated.uem").read_text() == "sub/Zoé_1 1 1.000 2.500\n"
    scored = command(
        *("evaluate", "voice-type", "--reference", tmp_path / "x", "--predictions", tmp_path / "x"),
        *("--uem", tmp_path / "x" / "annotated.uem", "--bootstrap", 0),
    )
    assert scored.code == 0, scored.err
    assert "100.0" in scored.out


class TestBadInput:
    def test_nothing_to_write(self, run):
        outcome = command("export", run)
        assert outcome.code == 2
        assert "nothing to write: give --to" in outcome.error

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--to", "praat"), "--to praat: one of eaf, textgrid"),
            (("--to", "eaf", "--tiers", "mine"), "--tiers mine: one of aclew, labels"),
            (("--to", "childproject", "--sets", "../x"), "--sets ../x: a name"),
            (("--to", "rttm"), "holds rttm/ already; choose another folder"),
            (("--childproject", "."), "not a ChildProject project"),
            (("--to", "eaf", "--audio", "nowhere"), "nowhere does not exist"),
        ],
    )
    def test_options(self, run, options, message):
        outcome = command("export", run, *options)
        assert outcome.code == 2
        assert message in outcome.error

    def test_no_such_source(self, tmp_path):
        outcome = command("export", tmp_path / "nowhere", "--to", "eaf", "-o", tmp_path / "x")
        assert outcome.code == 2
        assert "no such file or folder" in outcome.error

    def test_a_file_has_no_place_of_its_own(self, run):
        outcome = command("export", run / "rttm.csv", "--to", "eaf")
        assert outcome.code == 2
        assert "give -o FOLDER" in outcome.error

    def test_one_bad_file_is_named_once_and_the_others_written(self, tmp_path):
        for name in ("a", "c"):
            write_rttm(tmp_path / "rttm" / f"{name}.rttm", name, Segments.from_rows([(0, 160, "FEM")]))
        (tmp_path / "rttm" / "b.rttm").write_text("SPEAKER b 1 3.0 -1 <NA> <NA> FEM\n")
        (tmp_path / "rttm" / "d.rttm").symlink_to(".git/annex/objects/x")
        write_rttm(tmp_path / "rttm" / "old.rttm", "a", Segments.empty())
        (tmp_path / "rttm" / "old.rttm").write_text("SPEAKER a 1 3.0 1 <NA> <NA> FEM\n")
        outcome = command("export", tmp_path / "rttm", "--to", "eaf", "-o", tmp_path / "x")
        assert outcome.code == 1
        assert outcome.err.count("b.rttm, line 1") == 1
        assert outcome.err.count("d.rttm is not here (git-annex link): run 'datalad get") == 1
        assert outcome.err.count("a: annotated by both") == 1
        assert sorted(path.name for path in (tmp_path / "x/eaf").iterdir()) == ["a.eaf", "c.eaf"]

    def test_audio_that_is_missing_or_broken(self, run, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["007.wav"], seconds=1)
        (audio / "silent.wav").write_text("this is text")
        outcome = command("export", run, "--to", "eaf", "--audio", audio, "-o", tmp_path / "x")
        assert outcome.code == 1
        assert "sub/Zoé 1: --audio holds no recording of this name" in outcome.err
        assert outcome.err.count("silent.wav") == 1
        assert [path.name for path in (tmp_path / "x/eaf").rglob("*.eaf")] == ["007.eaf"]

    def test_two_recordings_with_one_id(self, run, tmp_path):
        audio = write_sounds(tmp_path / "audio", ["007.wav", "007.flac"], seconds=1)
        outcome = command("export", run, "--to", "eaf", "--audio", audio)
        assert outcome.code == 2
        assert "failed: 007: --audio holds no recording of this name, or several" in outcome.err

    def test_segments_past_the_end_are_kept_and_told(self, tmp_path):
        run = write_run(tmp_path / "out", {"a": [(0, 16_000, "FEM"), (70_000, 96_000, "FEM")]}, 5.0)
        outcome = command("export", run, "--to", "textgrid", "--to", "eaf")
        assert outcome.code == 0
        assert outcome.err.count("a: 1 segment past the end of the recording (5.000 s)") == 1
        assert read_annotations(run / "textgrid") == {
            "a": Segments.from_rows([(0, 16_000, "FEM"), (70_000, 96_000, "FEM")])
        }

    def test_segments_that_tiers_cannot_hold_are_told(self, tmp_path):
        run = write_run(tmp_path / "out", {"a": [(0, 16_000, "FEM"), (20_000, 20_000, "FEM")]}, 5.0)
        outcome = command("export", run, "--to", "textgrid")
        assert "a: 1 segment shorter than 1 ms left out" in outcome.err

    def test_an_output_that_is_a_file(self, run, tmp_path):
        (tmp_path / "x").write_text("mine")
        outcome = command("export", run, "--to", "eaf", "-o", tmp_path / "x")
        assert outcome.code == 2
        assert "is a file" in outcome.error
        assert (tmp_path / "x").read_text() == "mine"

    def test_one_output_that_cannot_be_written(self, run):
        (run / "eaf" / "007.eaf").mkdir(parents=True)
        outcome = command("export", run, "--to", "eaf")
        assert outcome.code == 1
        assert outcome.err.count("failed: ") == 1
        assert "eaf/007.eaf" in outcome.err
        assert (run / "eaf" / "silent.eaf").is_file()

    @pytest.mark.parametrize(("kind", "owner", "name"), [("eaf", Eaf, "to_file"), ("textgrid", Path, "write_text")])
    def test_a_full_disk_stops_it_and_leaves_nothing_half_written(self, run, monkeypatch, kind, owner, name):
        def full(self, *arguments, **options):
            (self if owner is Path else Path(arguments[0])).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(owner, name, full)
        outcome = command("export", run, "--to", kind)
        assert outcome.code == 2
        assert "the disk is full" in outcome.error
        assert not [path for path in (run / kind).rglob("*") if path.is_file()]
