"""CHAT transcripts as voice-type annotation."""

import re
import warnings

import pytest

from babyhubert.annotation.chat import Participant
from babyhubert.annotation.chat_voices import label_of, read_chat_voices
from babyhubert.annotation.reading import read_annotations
from babyhubert.annotation.segments import Segments
from babyhubert.errors import AnnotationError, ReadingWarning
from commands import command

pytest.importorskip("pylangacq")

TRANSCRIPT = """@UTF8
@Begin
@Languages:\teng
@Participants:\tCHI Anna Target_Child, MOT Mary Mother, INV Investigator, BRO Tom Brother, TOY Bear Toy, VIS Visitor
@ID:\teng|Lab|CHI|1;06.|female|||Target_Child|||
@ID:\teng|Lab|MOT||female|||Mother|||
@ID:\teng|Lab|INV||male|||Investigator|||
@ID:\teng|Lab|BRO|5;|male|||Brother|||
@ID:\teng|Lab|TOY|||||Toy|||
@ID:\teng|Lab|VIS|||||Visitor|||
@Media:\tday1, audio
*CHI:\t0 . \x150_1000\x15
*CHI:\t0 [=! cries] . \x151000_2000\x15
*CHI:\txxx . \x152000_3000\x15
*MOT:\tlook at that . \x153000_4120\x15
%pho:\tlʊk æt ðæt
*CHI:\t&=laughs . \x154000_4500\x15
*INV:\thello . \x154600_4700\x15
*BRO:\tmine ! \x155000_5500\x15
\treally . \x155500_6000\x15
*TOY:\tgrr . \x156000_6100\x15
*VIS:\thi . \x156200_6300\x15
*MOT:\tbye .
@End
"""


def write(folder, text: str = TRANSCRIPT):
    path = folder / "day1.cha"
    path.write_text(text, encoding="utf-8")
    return path


def test_utterances_become_segments_of_voice_types(tmp_path):
    with pytest.warns(ReadingWarning, match=r"day1\.cha: 1 of 9 utterances left out, without a time mark.*line 23"):
        found = read_chat_voices(write(tmp_path))
    assert [(start // 16, end // 16, label) for start, end, label in found] == [
        (1000, 2000, "KCHI"),
        (2000, 3000, "KCHI"),
        (3000, 4120, "FEM"),
        (4000, 4500, "KCHI"),
        (4600, 4700, "MAL"),
        (5000, 6000, "OCH"),
        (6200, 6300, "VIS"),
    ]


def test_times_are_those_of_the_marks(tmp_path):
    """Every time mark of the file, found without a parser."""
    marks = [tuple(map(int, pair)) for pair in re.findall("\x15(\\d+)_(\\d+)\x15", TRANSCRIPT)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        found = read_chat_voices(write(tmp_path))
    assert {start for start, _, _ in found} <= {start * 16 for start, _ in marks}
    assert {end for _, end, _ in found} <= {end * 16 for _, end in marks}


@pytest.mark.parametrize(
    ("code", "role", "sex", "label"),
    [
        ("CHI", "", "", "KCHI"),
        ("AMA", "Target_Child", "", "KCHI"),
        ("CH2", "Child", "female", "OCH"),
        ("SIS", "Sister", "female", "OCH"),
        ("MOT", "Mother", "", "FEM"),
        ("GRF", "Grandfather", "", "MAL"),
        ("ADU", "Adult", "female", "FEM"),
        ("INV", "Investigator", "male", "MAL"),
        ("INV", "Investigator", "", "INV"),
        ("MOT", "", "", "FEM"),
        ("ENV", "Environment", "", None),
    ],
)
def test_roles(code, role, sex, label):
    assert label_of(Participant(code, "", role, "", sex)) == label


def test_it_is_a_reference_for_evaluate(tmp_path):
    (tmp_path / "chat").mkdir()
    (tmp_path / "rttm").mkdir()
    write(tmp_path / "chat")
    with pytest.warns(ReadingWarning):
        found = read_annotations(tmp_path / "chat")
    assert list(found) == ["day1"]
    Segments.from_rows(row for row in found["day1"] if row.label != "VIS").to_rttm(tmp_path / "rttm/day1.rttm")
    scores = command(
        "evaluate", "voice-type", "--reference", tmp_path / "chat", "--predictions", tmp_path / "rttm",
        "--labels", "KCHI,OCH,MAL,FEM", "--bootstrap", 0, "-o", tmp_path / "scores",
    )  # fmt: skip
    assert scores.code == 0, scores.err
    assert "100.0" in scores.out
    assert "warning: " in scores.err
    assert "without a time mark" in scores.err


def test_a_transcript_without_marks_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="no utterance has a time mark"):
        read_chat_voices(write(tmp_path, re.sub(" ?\x15[^\x15]*\x15", "", TRANSCRIPT)))


def test_a_mark_that_is_no_time_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match=r"day1\.cha, line 15: a time mark"):
        read_chat_voices(write(tmp_path, TRANSCRIPT.replace("3000_4120", "3s_4s")))
