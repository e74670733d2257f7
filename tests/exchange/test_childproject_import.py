"""What we write, read by ChildProject's own importers and by Praat itself, and what ChildProject made, read by us.

ChildProject pins an old pandas, so it runs in a Python of its own: set ``BABYHUBERT_CHILDPROJECT_PYTHON`` to one.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from babyhubert.annotation.childproject import annotated_stretches, find_set
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import VOICE_TYPES, Segments
from commands import command

PYTHON = os.environ.get("BABYHUBERT_CHILDPROJECT_PYTHON", "")
CODES = {"KCHI": "CHI", "OCH": "OCH", "MAL": "MAL", "FEM": "FEM"}
RECORDINGS = {"sub/Zoé 1.wav": 60_000, "007.wav": 5000, "b/007.wav": 40_000, "day.1.mp3": 40_000}
SILENT = "007"
FORMATS = {"rttm": ("rttm", "vtc_rttm"), "eaf": ("eaf", "eaf"), "textgrid": ("TextGrid", "TextGrid")}

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="BABYHUBERT_CHILDPROJECT_PYTHON names no Python that has ChildProject"
)


def truth(seed: int) -> list[tuple[int, int, str, str]]:
    """Segments in milliseconds with an addressee; of every voice type, some of them overlapping within their own."""
    draw = np.random.default_rng(seed)
    rows = []
    for number, (start, length) in enumerate(
        zip(draw.integers(0, 30_000, 60), draw.integers(1, 900, 60), strict=True)
    ):
        label = VOICE_TYPES[number % 4]
        addressee = ("KCDS", "ADS", "Other", "OCDS")[number // 4 % 4] if label in ("FEM", "MAL") else ""
        rows.append((int(start), int(start + length), label, addressee))
    return sorted(rows)


TRUTH = {"sub/Zoé 1": truth(1), "day.1": truth(2), "b/007": truth(3), SILENT: []}


def write_source(folder: Path) -> Path:
    """A table of a run: the silent recording is known by its RTTM alone."""
    lines = ["uid,start_time_s,duration_s,label,addressee"]
    for name, rows in TRUTH.items():
        lines += [f"{name},{start / 1000},{(end - start) / 1000},{label},{to}" for start, end, label, to in rows]
        (folder / "rttm" / name).parent.mkdir(parents=True, exist_ok=True)
        uri = name.replace(" ", "_")
        text = "".join(
            f"SPEAKER {uri} 1 {start / 1000:.3f} {(end - start) / 1000:.3f} <NA> <NA> {label} <NA>\n"
            for start, end, label, _ in rows
        )
        (folder / "rttm" / f"{name}.rttm").write_text(text, encoding="utf-8")
        (folder / "csv" / name).parent.mkdir(parents=True, exist_ok=True)
        header = "segment_onset,segment_offset,speaker_type\n"
        rows_csv = "".join(f"{start},{end},{CODES[label]}\n" for start, end, label, _ in rows)
        (folder / "csv" / f"{name}.csv").write_text(header + rows_csv, encoding="utf-8")
        (folder / "phonemes" / name).parent.mkdir(parents=True, exist_ok=True)
        said = [row for row in rows if row[2] == "KCHI"]
        spoken = "".join(
            f"{name},{start / 1000:.3f},{end / 1000:.3f},KCHI,{'b a' if number % 2 else ''}\n"
            for number, (start, end, *_) in enumerate(said)
        )
        text = "filename,onset,offset,speaker,phonemes\n" + spoken
        (folder / "phonemes" / f"{name}.csv").write_text(text, encoding="utf-8")
    (folder / "rttm_addressee.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "failures.csv").write_text("path,error\n", encoding="utf-8")
    recordings = [
        {"recording_id": Path(file).with_suffix("").as_posix(), "path": f"/r/{file}", "duration_s": length / 1000}
        for file, length in RECORDINGS.items()
    ]
    about = {"command": "segment", "ended": "2026-11-01T08:00:00", "model": {"source": "m", "sha256": "ab"}}
    (folder / "run.json").write_text(json.dumps(about | {"recordings": recordings}), encoding="utf-8")
    return folder


def write_project(root: Path) -> Path:
    for folder in ("metadata", "recordings/raw", "extra", "scripts", "annotations"):
        (root / folder).mkdir(parents=True)
    (root / "README.md").write_text("x", encoding="utf-8")
    (root / "metadata" / "children.csv").write_text("experiment,child_id,child_dob\nx,01,2020-01-01\n")
    rows = "".join(f"x,01,2021-01-01,8:00,usb,{name},{length}\n" for name, length in RECORDINGS.items())
    header = "experiment,child_id,date_iso,start_time,recording_device_type,recording_filename,duration\n"
    (root / "metadata" / "recordings.csv").write_text(header + rows, encoding="utf-8")
    return root


CLIPS = ((1000, 3000), (10_000, 14_000))


def write_clips(folder: Path) -> None:
    """What ``sample --collect`` leaves: one recording of which two stretches were annotated."""
    rows = [row for row in TRUTH["day.1"] if any(on <= row[0] and row[1] <= off for on, off in CLIPS)]
    (folder / "rttm").mkdir(parents=True)
    lines = [f"SPEAKER day.1 1 {a / 1000} {(b - a) / 1000} <NA> <NA> {label} <NA> <NA>\n" for a, b, label, _ in rows]
    (folder / "rttm" / "day.1.rttm").write_text("".join(lines))
    (folder / "annotated.uem").write_text("".join(f"day.1 1 {on / 1000} {off / 1000}\n" for on, off in CLIPS))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")
    source, project = write_source(folder / "out"), write_project(folder / "my project")
    outcome = command("export", source, "--childproject", project)
    assert outcome.code == 0, outcome.err
    tables = [str(project / "annotations" / "babyhubert" / name / "import.csv") for name in ("vtc", "addressee")]
    tables.append(str(project / "annotations" / "babyhubert" / "phonemes" / "import.csv"))
    for name, (suffix, kind) in FORMATS.items():
        raw = project / "annotations" / name
        assert command("export", source, "--to", name, "-o", folder / "files").code == 0
        (folder / "files" / name).rename(raw.parent / f"{name}-files")
        raw.mkdir()
        (raw.parent / f"{name}-files").rename(raw / "raw")
        lines = ["set,recording_filename,time_seek,range_onset,range_offset,raw_filename,format"]
        for file, length in RECORDINGS.items():
            if not (name == "rttm" and file == f"{SILENT}.wav"):
                path = Path(file).with_suffix(f".{suffix}").as_posix()
                lines.append(f"{name},{file},0,0,{length},{path},{kind}")
        (folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
        tables.append(str(folder / f"{name}.csv"))
    grids = {name: str(project / "annotations/textgrid/raw" / f"{name}.TextGrid") for name in TRUTH}
    clips = folder / "clips"
    write_clips(clips)
    assert command("export", clips, "--childproject", project, "--sets", "people").code == 0
    tables.append(str(project / "annotations" / "people" / "vtc" / "import.csv"))
    spec = {"tables": tables, "metrics": ["babyhubert/vtc"], "textgrids": list(grids.values())}
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    run = subprocess.run(
        [PYTHON, Path(__file__).parent / "childproject_import.py", project, folder / "spec.json"],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    result = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    assert result, run.stderr[-3000:]
    found = json.loads(result[0].removeprefix("RESULT "))
    found["praat"] = {name: found["praat"][path] for name, path in grids.items()}
    return project, found


def spoken(rows: list[dict]) -> list[tuple]:
    return sorted((row["segment_onset"], row["segment_offset"], row["speaker_type"]) for row in rows)


def expected(name: str) -> list[tuple]:
    return sorted((start, end, CODES[label]) for start, end, label, _ in TRUTH[name])


def filename(name: str) -> str:
    return next(file for file in RECORDINGS if Path(file).with_suffix("").as_posix() == name)


def test_childproject_finds_nothing_wrong(imported):
    _, found = imported
    assert found["errors"] == found["validation"] == []
    assert [line for line in found["warnings"] if "babyhubert" in line] == []


@pytest.mark.parametrize("name", TRUTH)
def test_voices_come_back_from_our_set(imported, name):
    _, found = imported
    assert spoken(found["segments"]["babyhubert/vtc"][filename(name)]) == expected(name)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", TRUTH)
def test_voices_come_back_from_every_format(imported, kind, name):
    _, found = imported
    if kind == "rttm" and name == SILENT:
        assert filename(name) not in found["segments"][kind], "ChildProject cannot import an empty RTTM"
        return
    rows = found["segments"][kind][filename(name)]
    voices = [row for row in rows if not row.get("speaker_id", "").startswith(("xds@", "phonemes_"))]
    assert spoken(voices) == expected(name)


def test_addressees_come_back(imported):
    _, found = imported
    codes = {"KCDS": "T", "ADS": "A", "Other": "O", "OCDS": "C", "": ""}
    for name, rows in TRUTH.items():
        wanted = sorted((start, end, CODES[label], codes[to]) for start, end, label, to in rows)
        for kind in ("babyhubert/addressee", "eaf"):
            got = found["segments"][kind][filename(name)]
            assert sorted((*spoken([row])[0], row["addressee"].replace("NA", "")) for row in got) == wanted


def test_phonemes_come_back_with_their_number(imported):
    _, found = imported
    for name, rows in TRUTH.items():
        said = [row for row in rows if row[2] == "KCHI"]
        got = found["segments"]["babyhubert/phonemes"][filename(name)]
        assert [(row["segment_onset"], row["phonemes"], row["phonetic_transcription"]) for row in got] == [
            (start, 2 if number % 2 else 0, "b a" if number % 2 else "") for number, (start, *_) in enumerate(said)
        ]


def test_silence_is_zero_and_not_missing(imported):
    _, found = imported
    metrics = {row["recording_filename"]: row for row in found["metrics"]["babyhubert/vtc"]}
    assert metrics["007.wav"]["voc_dur_chi_ph"] == metrics["007.wav"]["voc_dur_fem_ph"] == 0
    assert metrics["007.wav"]["duration_babyhubert/vtc"] == 5000
    assert metrics["day.1.mp3"]["voc_dur_chi_ph"] > 0


def test_the_set_describes_itself(imported):
    _, found = imported
    about = found["sets"]["babyhubert/addressee"]
    assert about["segmentation"] == "babyhubert/vtc"
    assert (about["segmentation_type"], about["method"]) == ("permissive", "automated")
    assert (about["has_addressee"], about["has_speaker_type"]) == ("Y", "Y")
    assert about["date_annotation"].startswith("2026-11-01")


def test_what_childproject_imported_is_read_back(imported):
    project, _ = imported
    for kind in ("babyhubert/vtc", "eaf"):
        assert read_annotations(project / "annotations" / kind) == {
            name: Segments.from_rows((start * 16, end * 16, label) for start, end, label, _ in rows)
            for name, rows in TRUTH.items()
        }
    addressed = read_annotations(project / "annotations" / "babyhubert" / "addressee")["day.1"]
    assert set(addressed.columns["addressee"]) == {"KCDS", "ADS", "Other", "OCDS", ""}


def test_praat_reads_our_textgrids(imported):
    _, found = imported
    for name, rows in TRUTH.items():
        voices = [row for row in found["praat"][name] if not row[0].startswith(("xds@", "phonemes_"))]
        got = sorted((round(start * 1000), round(end * 1000), text) for _, start, end, text in voices)
        assert got == sorted((start, end, label) for start, end, label, _ in rows)


def test_importing_again_is_told_to_overwrite(imported):
    project, _ = imported
    outcome = command("export", project / "annotations" / "babyhubert" / "vtc", "--childproject", project)
    assert outcome.code == 0
    assert "--overwrite-existing" in outcome.err


def test_what_people_annotated_covers_what_they_annotated(imported):
    project, found = imported
    rows = [row for row in TRUTH["day.1"] if any(on <= row[0] and row[1] <= off for on, off in CLIPS)]
    assert len(rows) > 2
    folder = project / "annotations" / "people" / "vtc"
    assert read_annotations(folder) == {"day.1": Segments.from_rows((a * 16, b * 16, who) for a, b, who, _ in rows)}
    chosen = find_set(folder)
    assert np.transpose(annotated_stretches(chosen)["day.1"]).tolist() == [[on * 16, off * 16] for on, off in CLIPS]
    assert found["sets"]["people/vtc"].get("method") in (None, "")
