"""Voice types from CHAT transcripts (``.cha``): who speaks, by the role of each participant, between its time marks.

The target child is KCHI; other children are OCH; men and women are known by their role (Mother, Father ...) or, where
a role fits both (Adult, Investigator ...), by the sex in the ``@ID`` line. A speaker of whom neither tells keeps the
code as label. Devices and toys are no voices. An utterance without a time mark has no place, which is warned about.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

from babyhubert.annotation.chat import Participant, Utterance, read_transcript
from babyhubert.annotation.recording_rows import Parts
from babyhubert.annotation.segments import Segments
from babyhubert.errors import ReadingWarning, counted

_PHONETIC_TIER = "pho"

_CHILDREN = frozenset({"Child", "Sibling", "Sister", "Brother", "Playmate", "Boy", "Girl", "Cousin"})
_WOMEN = frozenset({"Mother", "Grandmother", "Aunt", "Female", "Woman"})
_MEN = frozenset({"Father", "Grandfather", "Uncle", "Male", "Man"})
_NO_VOICES = frozenset({"Environment", "Media", "Camera_Operator_Noise", "Non_Human", "Toy", "Text", "Narrator_Text"})
_CODES = {"MOT": "FEM", "GRM": "FEM", "FAT": "MAL", "GRF": "MAL", "SIS": "OCH", "BRO": "OCH", "SIB": "OCH"}
"""Codes whose meaning the CHAT manual fixes, for headers without a role."""
_BY_SEX = {"female": "FEM", "male": "MAL"}

_NOTHING_SAID = re.compile(r"0\s*[.!?]?\s*(\x15[^\x15]*\x15)?\s*")
"""Main line of an utterance without sound: ``0 .``; ``0 [=! cries] .`` is a sound."""


def read_file(path: Path, recording_id: str) -> Parts:
    """As :func:`read_chat_voices`, under the name of the recording."""
    return {recording_id: read_chat_voices(path)}


def read_chat_voices(path: Path) -> Segments:
    """Read the utterances of one recording as segments, from the first time mark of each to its last.

    Raises:
        AnnotationError: unreadable, malformed, or without any time mark; the message names the line.
        MissingExtraError: pylangacq is not installed.
    """
    spoken = [each for each in read_transcript(path, _PHONETIC_TIER).utterances if not _is_silent(each)]
    without = [each.line for each in spoken if each.span is None]
    if without:
        count = f"{len(without)} of {counted(len(spoken), 'utterance')}"
        warnings.warn(
            f"{path}: {count} left out, without a time mark (the first in line {without[0]})",
            ReadingWarning,
            stacklevel=2,
        )
    rows = ((each.span, label_of(each.speaker)) for each in spoken)
    return Segments.from_rows((*span, label) for span, label in rows if span is not None and label is not None)


def label_of(speaker: Participant) -> str | None:
    """Voice type of a participant; its code if nothing tells; None for what is no voice."""
    if speaker.is_target_child:
        return "KCHI"
    if speaker.role in _NO_VOICES:
        return None
    for roles, label in ((_CHILDREN, "OCH"), (_WOMEN, "FEM"), (_MEN, "MAL")):
        if speaker.role in roles:
            return label
    return _BY_SEX.get(speaker.sex) or _CODES.get(speaker.code, speaker.code)


def _is_silent(utterance: Utterance) -> bool:
    return _NOTHING_SAID.fullmatch(utterance.main) is not None
