"""Names from files never lead out of the folder that a command writes into or reads from."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from results_folders import write_run

import babyhubert
from babyhubert.errors import UnsafeNameError
from babyhubert.exchange.export import FORMATS
from babyhubert.files import path_below, require_safe_name
from commands import command, write_sounds

PRECIOUS = ("ESCAPED", "ESCAPED.csv", "ESCAPED.rttm", "ESCAPED.eaf", "ESCAPED.html", "ESCAPED.json", "ESCAPED.wav")
UNSAFE = {
    "parent": "../../ESCAPED",
    "parent inside": "sub/../../../ESCAPED",
    "backslashes": "..\\..\\ESCAPED",
    "drive": "C:/ESCAPED",
    "network": "\\\\server\\ESCAPED",
    "here": "./ESCAPED",
    "too long": "x" * 300,
    "too deep": "x/" * 2000 + "ESCAPED",
}


@contextmanager
def nothing_outside(area: Path, *outputs: Path) -> Iterator[None]:
    """Assert that no file of an area, besides those of the outputs, comes, goes or changes."""

    def state() -> dict[Path, bytes]:
        return {
            path: path.read_bytes()
            for path in area.rglob("*")
            if path.is_file() and not any(path.is_relative_to(output) for output in outputs)
        }

    for folder in (area, area / "x"):
        folder.mkdir(exist_ok=True)
        for name in PRECIOUS:
            (folder / name).write_text("precious", encoding="utf-8")
    before = state()
    yield
    assert state() == before


def absolute(area: Path) -> dict[str, str]:
    return UNSAFE | {"absolute": str(area / "ESCAPED")}


names = st.lists(
    st.sampled_from(["..", ".", "", "a", "é", "b.c", "C:", "\\", "..\\", "\0", "\ud800", "\udcff", "n" * 254])
    | st.text(max_size=5),
    max_size=5,
).map("/".join)


@given(names, st.sampled_from(["", ".csv", ".TextGrid"]))
@example("a/..", "")
@example("..", ".csv")
def test_a_name_means_a_file_below_the_folder_or_is_refused(name, suffix):
    path = None
    with suppress(UnsafeNameError):
        path = path_below(Path("/out/rttm"), name, suffix)
    if path is None:
        with pytest.raises(UnsafeNameError, match=r"^[^\n]+ cannot be the name of a recording's files: [^\n]+$"):
            require_safe_name(name, suffix)
        return
    assert str(path) == os.path.normpath(path) == f"/out/rttm/{name}{suffix}"
    assert not path.exists()  # the system can look at it
    assert max(len(os.fsencode(part)) for part in path.parts) <= 255


@pytest.mark.parametrize("name", ["a", "sub/day.1", "Zoé 1", "..a", "a..b/...c", "-x", "x" * 250, "12:30", "\udcff"])
def test_names_that_recordings_have_are_taken(tmp_path, name):
    assert path_below(tmp_path, name, ".rttm") == tmp_path / f"{name}.rttm"


@pytest.mark.parametrize("name", ["", ".", "..", "/", "/a", "a/", "a//b", "a/./b", "a\0b", "\ud800", *UNSAFE.values()])
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(UnsafeNameError, match="cannot be the name of a recording's files"):
        require_safe_name(name)


def test_links_lead_out_only_where_the_user_put_the_folder_itself_elsewhere(tmp_path):
    (tmp_path / "disk" / "rttm").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "rttm").symlink_to(tmp_path / "disk" / "rttm")
    assert path_below(tmp_path / "out" / "rttm", "a/b", ".rttm") == tmp_path / "out" / "rttm" / "a" / "b.rttm"
    (tmp_path / "disk" / "rttm" / "a").symlink_to(tmp_path)
    for name in ("a/b", "a/new/b"):
        with pytest.raises(UnsafeNameError, match="a symbolic link leads out of"):
            path_below(tmp_path / "out" / "rttm", name, ".rttm")
    (tmp_path / "disk" / "rttm" / "gone").symlink_to(tmp_path / "not there")
    with pytest.raises(UnsafeNameError, match="a symbolic link leads out of"):
        path_below(tmp_path / "out" / "rttm", "gone/b", ".rttm")


@pytest.mark.parametrize("form", FORMATS)
def test_export_of_foreign_names(tmp_path, form):
    """Names without white space, since RTTM has none; the good one is written all the same."""
    unsafe = absolute(tmp_path)
    rows = "".join(f"SPEAKER {name} 1 0.5 1 <NA> <NA> KCHI <NA> <NA>\n" for name in ("good", *unsafe.values()))
    (tmp_path / "a.rttm").write_text(rows, encoding="utf-8")
    output = tmp_path / "x" / "y" / "out"
    with nothing_outside(tmp_path, output):
        done = command("export", tmp_path / "a.rttm", "--to", form, "-o", output)
    assert done.code == 1, done.err
    assert f"1 recording exported, {len(unsafe)} failed" in done.out
    assert done.err.count("cannot be the name of a recording's files") == len(unsafe)
    written = [path for path in output.rglob("*") if path.is_file()]
    assert any("good" in path.name or "good" in path.read_text(encoding="utf-8") for path in written)
    assert not any("ESCAPED" in path.read_text(encoding="utf-8") for path in written)


@pytest.mark.parametrize("form", FORMATS)
def test_export_of_a_table_of_babar_with_absolute_names(tmp_path, form):
    table = f"filename,onset,offset,speaker,phonemes\n{tmp_path}/ESCAPED.wav,0.5,1.5,KCHI,a\nb.wav,1,2,KCHI,a\n"
    (tmp_path / "babar.csv").write_text(table, encoding="utf-8")
    output = tmp_path / "x" / "out"
    with nothing_outside(tmp_path, output):
        done = command("export", tmp_path / "babar.csv", "--to", form, "-o", output)
    assert done.code == 1
    assert "it is an absolute path; give the path below the folder of recordings" in done.err
    assert "1 recording exported, 1 failed" in done.out


@pytest.mark.parametrize(
    "filename", ["../../../../../../ESCAPED/good.wav", "{area}/ESCAPED/good.wav", "C:/x/good.wav"]
)
def test_export_into_a_project_whose_recordings_lie_elsewhere(tmp_path, filename):
    (tmp_path / "a.rttm").write_text("SPEAKER good 1 0.5 1 <NA> <NA> KCHI <NA> <NA>\n", encoding="utf-8")
    project = tmp_path / "p" / "q" / "r"
    (project / "metadata").mkdir(parents=True)
    table = f"recording_filename,duration\n{filename.format(area=tmp_path)},20000\n"
    (project / "metadata" / "recordings.csv").write_text(table, encoding="utf-8")
    with nothing_outside(tmp_path, project):
        done = command("export", tmp_path / "a.rttm", "--childproject", project)
    assert done.code == 2
    assert "cannot be the name of a recording's files" in done.err
    assert not (project / "annotations").exists()


def test_annotations_of_a_project_that_lie_elsewhere(tmp_path):
    project = tmp_path / "p"
    converted = project / "annotations" / "vtc" / "converted"
    converted.mkdir(parents=True)
    (project / "metadata").mkdir()
    (project / "metadata" / "recordings.csv").write_text(
        f"recording_filename,duration\na.wav,9000\nb.wav,9000\nc.wav,9000\n{tmp_path}/d.wav,9000\n", encoding="utf-8"
    )
    segments = "segment_onset,segment_offset,speaker_type\n100,900,CHI\n"
    (tmp_path / "secret.csv").write_text(segments, encoding="utf-8")
    (converted / "a.csv").write_text(segments, encoding="utf-8")
    index = "set,recording_filename,annotation_filename,range_onset,range_offset\n"
    index += (
        f"vtc,a.wav,a.csv,0,9000\nvtc,b.wav,../../../../secret.csv,0,9000\nvtc,c.wav,{tmp_path}/secret.csv,0,9000\n"
    )
    index += f"vtc,{tmp_path}/d.wav,a.csv,0,9000\n"
    (project / "metadata" / "annotations.csv").write_text(index, encoding="utf-8")
    with nothing_outside(tmp_path, tmp_path / "out"):
        done = command("export", project, "--to", "csv", "-o", tmp_path / "out")
    assert done.code == 1
    assert "1 recording exported, 3 failed" in done.out
    assert "annotations.csv, line 3: '../../../../secret.csv' cannot be the name" in done.err
    assert [path.name for path in (tmp_path / "out" / "csv").rglob("*.csv")] == ["a.csv"]

    elsewhere = index.replace("vtc,", "../../../elsewhere,")
    (project / "metadata" / "annotations.csv").write_text(elsewhere, encoding="utf-8")
    (tmp_path / "elsewhere" / "converted").mkdir(parents=True)
    (tmp_path / "elsewhere" / "converted" / "a.csv").write_text(segments, encoding="utf-8")
    assert "'..' leads out of the folder" in command("export", project, "--to", "csv", "-o", tmp_path / "other").error


def test_clips_of_foreign_names(tmp_path):
    write_sounds(tmp_path / "audio", ["day.wav"], seconds=5)
    rows = "".join(f"SPEAKER {name} 1 0.5 1 <NA> <NA> KCHI <NA> <NA>\n" for name in ("day", "../../day", "/x/day"))
    (tmp_path / "a.rttm").write_text(rows, encoding="utf-8")
    output = tmp_path / "x" / "clips"
    with nothing_outside(tmp_path, output):
        done = command(
            *("sample", tmp_path / "a.rttm", "--audio", tmp_path / "audio", "-o", output, "--clips", 1, "--length", 2)
        )
    assert done.code == 1, done.err
    assert "1 clip of 1 recording, 2 failed" in done.out
    assert done.err.count("cannot be the name of a recording's files") == 2


def test_corrected_clips_of_foreign_names(tmp_path):
    write_sounds(tmp_path / "audio", ["day.wav"], seconds=9)
    (tmp_path / "a.rttm").write_text("SPEAKER day 1 0.5 8 <NA> <NA> KCHI <NA> <NA>\n", encoding="utf-8")
    clips = tmp_path / "clips"
    source = ("sample", tmp_path / "a.rttm", "--audio", tmp_path / "audio", "-o", clips)
    assert command(*source, "--clips", 3, "--length", 2).code == 0
    table = clips / "clips.csv"
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    secret = tmp_path / "ESCAPED.eaf"
    secret.write_bytes((clips / rows[1]["clip"]).read_bytes())
    rows[0]["recording_id"] = "../../ESCAPED"
    rows[1]["clip"] = "../ESCAPED.eaf"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    output = tmp_path / "x" / "y" / "reference"
    with nothing_outside(tmp_path, output):
        done = command("sample", "--collect", clips, "-o", output, "--include-unchanged")
    assert done.code == 1, done.err
    assert "1 clip, 0:00:02, 2 failed" in done.out
    assert done.err.count("cannot be the name of a recording's files") == 2
    assert [path.name for path in (output / "rttm").rglob("*.rttm")] == ["day.rttm"]


def test_regions_of_an_inventory_with_foreign_names(tmp_path):
    corpus = tmp_path / "x" / "corpus"
    write_sounds(tmp_path / "audio", ["a.wav", "b.wav"], seconds=3)
    assert command("corpus", "scan", tmp_path / "audio", "-o", corpus).code == 0
    table = pyarrow.parquet.read_table(corpus / "inventory.parquet")
    columns = table.to_pydict()
    columns["recording_id"][0] = "../../../../../ESCAPED"
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=table.schema), corpus / "inventory.parquet")
    with nothing_outside(tmp_path, corpus):
        done = command("corpus", "regions", corpus, "--source", "whole")
        assert done.code == 1, done.err
        assert "'../../../../../ESCAPED' cannot be the name of a recording's files" in done.err
        assert "looked for speech in 1 recording, 1 failed" in done.out
        for number in (1, 2):
            command("corpus", "regions", corpus, "--source", "whole", "--force", "--shard", f"{number}/2")
        assert command("status", corpus).code == 1
        assert command("merge", corpus).code == 1
        assert command("corpus", "segments", corpus).code == 0
        assert command("corpus", "pack", corpus).code == 0
    table = pyarrow.parquet.read_table(corpus / "regions.parquet").to_pydict()
    assert set(table["recording_id"]) == {"b"}


@pytest.fixture
def foreign_run(tmp_path) -> Path:
    """Somebody else's output folder, whose run.json names files outside of it."""
    write_sounds(tmp_path / "audio", ["good.wav"], seconds=5)
    rows = [(1600, 16000, "KCHI"), (16000, 40000, "FEM")]
    out = write_run(tmp_path / "x" / "out", {"good": rows}, 5.0, paths={"good": tmp_path / "audio" / "good.wav"})
    run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    audio = run["recordings"][0]["path"]
    run["recordings"] += [
        {"recording_id": name, "path": audio, "duration_s": 5.0} for name in absolute(tmp_path).values()
    ]
    (out / "run.json").write_text(json.dumps(run), encoding="utf-8")
    for secret in (tmp_path / "ESCAPED.csv", tmp_path / "x" / "ESCAPED.csv"):
        secret.write_text("segment_onset,segment_offset,speaker_type\n100,900,CHI\n", encoding="utf-8")
    return out


@pytest.mark.parametrize(
    "verb",
    [
        ("measures", "{out}"),
        ("report", "{out}", "--with-clips", "1"),
        ("plot", "{out}", "--recording", "good", "-o", "{out}/figure.png"),
        ("plot", "{out}", "--recording", "../../ESCAPED", "-o", "{out}/figure.png"),
        ("sample", "{out}", "-o", "{out}/clips", "--clips", "1", "--length", "1"),
        *(("export", "{out}", "--to", form, "-o", "{out}/exported") for form in FORMATS),
    ],
    ids=lambda verb: "-".join(verb[0:1] + verb[3:4]),
)
def test_somebody_elses_run(tmp_path, foreign_run, verb):
    with nothing_outside(tmp_path, foreign_run):
        done = command(*(part.format(out=foreign_run) for part in verb))
    if verb[0] == "plot":
        assert done.code == (0 if verb[3] == "good" else 2), done.err
        return
    assert done.code == 1, done.err
    assert "unexpected" not in done.err
    told = done.err + (foreign_run / "report.html").read_text("utf-8") if verb[0] == "report" else done.err
    assert told.count("cannot be the name of a recording") >= len(UNSAFE)
    written = [path for path in foreign_run.rglob("*") if path.suffix in {".csv", ".rttm", ".eaf", ".txt"}]
    assert not any("precious" in path.read_text(encoding="utf-8") for path in written)


def test_pages_of_a_large_run_and_kept_levels(tmp_path, foreign_run, monkeypatch):
    monkeypatch.setattr("babyhubert.report.page.DETAIL_BYTES", 1)
    with nothing_outside(tmp_path, foreign_run):
        assert command("report", foreign_run).code == 1
    assert [path.name for path in (foreign_run / "report").rglob("*.html")] == ["good.html"]


def test_journal_of_somebody_elses_shards(tmp_path, small_model):
    audio = write_sounds(tmp_path / "audio", ["day.wav"], seconds=1)
    out = tmp_path / "x" / "out"
    assert command("segment", audio, "--model", small_model, "-o", out, "--shard", "1/1").code == 0
    (journal,) = (out / ".babyhubert" / "segment").glob("*.jsonl")
    text = journal.read_text(encoding="utf-8")
    journal.write_text(text.replace('"day"', '"../../../../../ESCAPED"'), encoding="utf-8")
    with nothing_outside(tmp_path, out):
        for verb in ("status", "merge"):
            told = command(verb, out)
            assert "unexpected" not in told.err
            assert "Traceback" not in told.err


@pytest.mark.parametrize("verb", ["segment", "embed", "addressee", "phonemes", "analyze"])
def test_recordings_and_segments_with_unusable_names(tmp_path, small_model, verb):
    """Which are told, while the other recording is done (or, where its model cannot do it, nothing is written)."""
    audio = write_sounds(tmp_path / "audio", ["good.wav", "bad.wav"], seconds=1)
    bad = (audio / "bad.wav").rename(audio / "...wav")  # its stem is '..'
    rows = "uid,start_time_s,duration_s,label\ngood,0.1,0.5,KCHI\n../../ESCAPED,0.1,0.5,KCHI\n"
    (tmp_path / "s.csv").write_text(rows, encoding="utf-8")
    output, pooled = tmp_path / "x" / "out", tmp_path / "x" / "pooled"
    model = ("--model", small_model) if verb != "analyze" else ()
    with nothing_outside(tmp_path, output, pooled):
        run = command(verb, bad, audio / "good.wav", *model, "-o", output)
        assert "unexpected" not in run.err
        if verb in ("segment", "embed"):
            assert run.code == 1, run.err
            assert "'..' leads out of the folder" in (output / "failures.csv").read_text(encoding="utf-8")
        if verb != "segment":
            done = command(verb, audio, *model, "--segments", tmp_path / "s.csv", "-o", pooled)
            assert done.code == 2
            assert "unexpected" not in done.err
    assert not any("ESCAPED" in path.name for path in (tmp_path / "x").rglob("*") if path.parent != tmp_path / "x")


@pytest.mark.parametrize("prefix", ["..", "../a", "/a", "a\0b", "a/b", "x" * 300, "C:x"])
def test_prefix_of_simulated_scenes(tmp_path, prefix):
    output = tmp_path / "x" / "scenes"
    with nothing_outside(tmp_path, output):
        done = command("simulate", "-o", output, "--recordings", 1, "--minutes", 0.1, "--prefix", prefix)
    if prefix != "..":  # '.._000' is a name
        assert done.code == 2
        assert not output.exists()


def test_there_is_no_other_way_from_a_name_to_a_path():
    """No module joins a recording's id to a folder by itself."""
    joined = re.compile(r"/ f\"\{(?:[a-z_]+\.)*(?:recording_id|name|uri|clip)\}|/ (?:recording_id|uri)\b")
    source = Path(babyhubert.__file__).parent
    found = {
        f"{path.relative_to(source).as_posix()}: {line.strip()}"
        for path in source.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if joined.search(line)
    }
    assert found == {
        'files.py: path = folder / f"{name}{suffix}"',
        'runs/folder.py: return self.state / f"{name}.jsonl"',  # of a run or a shard
    }
