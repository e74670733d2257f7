"""Every reader of annotations on some hundred mutated copies of a valid file: an error of ours, or a result, soon.

The files are those that the package writes and small ones in the forms that other tools write. Each reader is called
as commands call it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated, mutation_settings, survives

from babyhubert.annotation.audacity import format_audacity
from babyhubert.annotation.chat import read_transcript
from babyhubert.annotation.columns import COLUMNS_FILE, column_of_task, write_columns
from babyhubert.annotation.csv_tables import COMBINED_HEADER, format_childproject_csv, format_combined_rows
from babyhubert.annotation.eaf import write_eaf
from babyhubert.annotation.formats import WRITTEN
from babyhubert.annotation.lena_table import LENA_HEADER, format_lena_rows
from babyhubert.annotation.parquet import read_table, table_columns
from babyhubert.annotation.reading import read_annotations, read_each
from babyhubert.annotation.rttm import format_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import read_speaker_ids
from babyhubert.annotation.textgrid import write_textgrid
from babyhubert.annotation.tiers import lay_out
from babyhubert.annotation.uem import read_uem
from babyhubert.annotation.webvtt import format_webvtt
from babyhubert.corpus.spans import read_spans, write_spans
from babyhubert.evaluation.recording_table import read_recording_table
from babyhubert.exchange.collect import read_clips
from babyhubert.exchange.export import FORMATS, ExportSettings, export
from babyhubert.exchange.recordings import Source
from babyhubert.measures.hours import read_start_times
from babyhubert.simulation.utterance_table import read_utterances
from babyhubert.units.abx import read_items
from babyhubert.units.phones import read_rows

FILES = 200
SEGMENTS = Segments(
    np.array([16, 8_000, 30_000, 31_000]),
    np.array([8_000, 16_000, 64_000, 32_000]),
    np.array(["KCHI", "FEM", "KCHI", "two words"], dtype=object),
    {"addressee": np.array(["", "KCDS", "", ""], dtype=object)},
)
ITS = """<?xml version="1.0" encoding="UTF-8"?>
<ITS fileName="e1"><ProcessingUnit><Recording num="1" startTime="PT0.00S" endTime="PT30.00S">
<Segment spkr="SIL" startTime="PT0.00S" endTime="PT1.00S"/><Segment spkr="CHN" startTime="PT1.00S" endTime="PT2.50S"/>
<Segment spkr="FAN" startTime="PT2.50S" endTime="PT3.10S"/></Recording></ProcessingUnit></ITS>
"""
SHORT_TEXTGRID = '''File type = "ooTextFile short"
"TextGrid"

0
4.5
<exists>
2
"IntervalTier"
"CHI"
0
4.5
2
0
1.25
"ba ""ba"""
1.25
4.5
""
"TextTier"
"events"
0
4.5
1
2e-05
"click"
'''
CHAT = """@UTF8
@Begin
@Languages:\teng
@Participants:\tCHI Anna Target_Child, MOT Mother
@ID:\teng|corpus|CHI|1;06.|female|||Target_Child|||
@ID:\teng|corpus|MOT|||||Mother|||
@Media:\tday1, audio
*CHI:\tmama . \x151520_2345\x15
%pho:\tmama
*MOT:\tyes . \x152400_3000\x15
@End
"""
WEBVTT = """WEBVTT - day1
Kind: captions

STYLE
::cue { color: red }

NOTE checked

1
00:00.500 --> 00:02.000 line:0 align:start
<v.loud Mother>Good <i>morning</i> &amp; hello</v> <v KCHI>ba

00:01:03.000 --> 01:00:04.500
<v FEM><00:01:03.500>yes
no
"""
UTTERANCES = "path,speaker_id,voice,duration_s,phones\na.wav,s1,CHI,0.5,b a\na.wav,s2,FEM,1.25,h ə\n"
INDEX = """set,recording_filename,annotation_filename,range_onset,range_offset,error
vtc,sub/day1.wav,sub/day1.csv,0,5000,
vtc,day2.wav,day2.csv,0,2500.0,
"""
RECORDINGS = "recording_filename,duration,child_id,start_time\nsub/day1.wav,5000,c1,08:30\nday2.wav,NA,c1,10:00:30\n"


def _eaf(folder: Path) -> bytes:
    write_eaf(folder / "made.eaf", lay_out(SEGMENTS, "day1").tiers, folder / "day1.wav")
    return (folder / "made.eaf").read_bytes()


def _textgrid(folder: Path) -> bytes:
    write_textgrid(folder / "made.TextGrid", lay_out(SEGMENTS, "day1").tiers, 5_000)
    return (folder / "made.TextGrid").read_bytes()


def _combined() -> str:
    return COMBINED_HEADER + format_combined_rows("day1", SEGMENTS) + format_combined_rows("sub/day 2", SEGMENTS)


ORIGINALS: dict[str, Callable[[Path], bytes | str]] = {
    "day1.rttm": lambda _: format_rttm("day1", SEGMENTS) + format_rttm("sub/day2", SEGMENTS),
    "combined.csv": lambda _: _combined(),
    "day1.csv": lambda _: format_childproject_csv(SEGMENTS),
    "segments.csv": lambda _: (
        "recording_filename,segment_onset,segment_offset,speaker_type,vcm_type\n"
        "sub/day1.wav,0,1500,CHI,C\nday2.wav,200,3080.0,FEM,NA\nday2.wav,200,3080,NA,NA\n"
    ),
    "truth.csv": lambda _: "recording_id,start_s,end_s,label\nday1,0.5,1.25,KCHI\nday2,1,2,FEM\n",
    "babar.csv": lambda _: 'filename,onset,offset,speaker,phonemes\nday1,0.5,1.25,KCHI,"b a"\nday2,1,2,KCHI,\n',
    "lena.csv": lambda _: LENA_HEADER + format_lena_rows("day1", SEGMENTS) + "day1,OLN,4.000,5.000,1.000\n",
    "day1.its": lambda _: ITS,
    "day1.TextGrid": _textgrid,
    "short.TextGrid": lambda _: SHORT_TEXTGRID,
    "wide.TextGrid": lambda _: SHORT_TEXTGRID.encode("utf-16"),
    "day1.eaf": _eaf,
    "day1.txt": lambda _: format_audacity(SEGMENTS),
    "day1.vtt": lambda _: format_webvtt(SEGMENTS),
    "player.vtt": lambda _: WEBVTT,
}
"""Valid files by name; the suffix tells their format."""


def _bytes(content: bytes | str) -> bytes:
    return content.encode("utf-8") if isinstance(content, str) else content


def _try_out(path: Path, read: Callable[[Path], object], original: bytes | str, *, text: bool = True) -> None:
    """The valid file is read; of mutated ones, nothing but results and errors of ours come."""
    content = _bytes(original)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    read(path)

    @settings(mutation_settings, max_examples=FILES)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        path.write_bytes(data.draw(mutated(content, text=text)))
        survives(lambda: read(path))

    check()


def _everything(path: Path) -> None:
    """As the commands read annotations: all at once, and recording by recording."""
    list(read_each(path))
    list(Source(path).recordings())
    read_annotations(path)


@pytest.mark.parametrize("name", ORIGINALS)
def test_segments(tmp_path, name):
    _try_out(tmp_path / name, _everything, ORIGINALS[name](tmp_path))


def test_descriptions_of_columns(tmp_path):
    columns = [column_of_task("mood", "classification", ("calm", "cry"), {"tier": "m@", "codes": {"cry": "Y"}})]
    write_columns(tmp_path, columns)
    _textgrid(tmp_path)
    path = tmp_path / COLUMNS_FILE
    _try_out(path, lambda path: _everything(path.parent), path.read_bytes())


@pytest.mark.parametrize("name", ["day1.rttm", "combined.csv", "segments.csv", "short.TextGrid", "day1.eaf"])
def test_what_is_read_is_written_in_every_format_and_nowhere_else(tmp_path, name):
    source, output = tmp_path / "in" / name, tmp_path / "out"
    content = _bytes(ORIGINALS[name](tmp_path))
    source.parent.mkdir()

    @settings(mutation_settings, max_examples=FILES // 5)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        source.write_bytes(data.draw(mutated(content, text=True)))
        before = set(tmp_path.rglob("*"))
        survives(lambda: export(Source(source), ExportSettings(FORMATS, output)))
        assert all(path.is_relative_to(output) for path in set(tmp_path.rglob("*")) - before)
        for kind in WRITTEN if output.exists() else ():
            if (output / kind).is_dir():
                read_annotations(output / kind)
        shutil.rmtree(output, ignore_errors=True)

    check()


@pytest.mark.parametrize(
    ("name", "read", "original"),
    [
        ("day1.uem", read_uem, ";; annotated\nday1 1 0 12.5\nday 2 1 3.25 60\nday1 <NA> 20 30\n"),
        ("starts.csv", read_start_times, "recording_id,start_time\nday1,08:30\nday2,23:59:59\n"),
        ("recordings.csv", read_recording_table, RECORDINGS),
        ("speakers.csv", read_speaker_ids, "speaker_id,age\ns1,1\ns2,2\n"),
        ("phones.csv", lambda path: read_rows(path, ("start_s", "phone")), "start_s,phone\n0.5,b\n0.75,a\n"),
        (
            "abx.item",
            read_items,
            "#file onset offset #phone prev-phone next-phone speaker\nd 0.5 0.75 b SIL a s1\nd 0.75 1 a b SIL s1\n",
        ),
    ],
)
def test_tables(tmp_path, name, read, original):
    _try_out(tmp_path / name, read, original)


def test_utterance_tables(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    _try_out(tmp_path / "utterances.csv", read_utterances, UTTERANCES)


def test_lists_of_clips(tmp_path):
    header = "clip,recording_id,segment_onset,segment_offset,audio_onset,annotation_sha256\n"
    rows = "eaf/a.eaf,day1,1000,2000,500,00ff\neaf/b.eaf,day2,0,2000,0,00ff\n"
    _try_out(tmp_path / "clips.csv", lambda path: read_clips(path.parent), header + rows)


def test_lists_of_training_segments(tmp_path):
    text = "recording_id,start_s,end_s\nday1,0.5,1.25\nsub/day2,1,2\n"
    _try_out(tmp_path / "spans.csv", _spans, text)


def _spans(path: Path) -> None:
    read_spans(path, {"day1": 160_000, "sub/day2": 160_000}, disjoint=False)


def test_chat(tmp_path):
    pytest.importorskip("pylangacq")
    _try_out(tmp_path / "day1.cha", lambda path: read_transcript(path, "pho"), CHAT)


@pytest.mark.parametrize("which", ["annotations.csv", "recordings.csv", "converted"])
def test_childproject(tmp_path, which):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "annotations/vtc/converted/sub").mkdir(parents=True)
    files = {
        "annotations.csv": tmp_path / "metadata/annotations.csv",
        "recordings.csv": tmp_path / "metadata/recordings.csv",
        "converted": tmp_path / "annotations/vtc/converted/sub/day1.csv",
    }
    contents = {"annotations.csv": INDEX, "recordings.csv": RECORDINGS, "converted": format_childproject_csv(SEGMENTS)}
    (tmp_path / "annotations/vtc/converted/day2.csv").write_text("segment_onset,segment_offset,speaker_type\n")
    for name, path in files.items():
        path.write_text(contents[name], encoding="utf-8")
    _try_out(files[which], lambda _: _everything(tmp_path), contents[which])


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "spans.parquet"
    write_spans(path, {"day1": (np.array([0, 1_600]), np.array([800, 16_000])), "sub/day2": (np.array([32]), [3_200])})

    def read(path: Path) -> None:
        read_table(path, table_columns(path))
        _spans(path)

    _try_out(path, read, path.read_bytes(), text=False)
