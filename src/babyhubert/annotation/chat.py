"""CHAT transcripts (``.cha``, CHILDES and PhonBank): speakers, times, words and pronunciation.

pylangacq parses the file; what it skips silently (invalid lines, unreadable time marks, a duplicate tier) is refused
here, with its line number. Input: a file and the name of its phonetic tier. Output: a :class:`Transcript` in samples.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from babyhubert.annotation.text import read_lines
from babyhubert.audio.discovery import AUDIO_SUFFIXES
from babyhubert.errors import AnnotationError, MissingExtraError
from babyhubert.timebase import ms_to_samples

if TYPE_CHECKING:
    from pylangacq import CHAT
    from pylangacq import Utterance as ParsedUtterance

TARGET_CHILD = "CHI"
TARGET_CHILD_ROLE = "Target_Child"

_UNINTELLIGIBLE = frozenset({"xxx", "yyy", "www"})
"""Words of the main line without, or in place of, a spelling."""

_BEGINNING = re.compile(r"@|[*%][^\s:]+:|\s")
_BULLET = "\x15"
_MARK = re.compile(r"\x15(\d{1,10})_(\d{1,10})-?\x15")
_SILENT = re.compile(r'\([\d.:]+\)|[.!?‹›]|\+[./?!"]*[.?!]|<\d+(-\d+)?>')
"""Items of a phonetic tier that are no sounds: pauses, ends of utterances, group signs, numbers of words."""


@dataclass(frozen=True)
class Participant:
    """A participant: code (``CHI``), name and role (``Target_Child``); name, corpus and sex may be empty."""

    code: str
    name: str
    role: str
    corpus: str
    sex: str = ""

    @property
    def is_target_child(self) -> bool:
        """True for the target child of the recording."""
        return self.code == TARGET_CHILD or self.role == TARGET_CHILD_ROLE


@dataclass(frozen=True)
class Utterance:
    """One main line with its tiers.

    Attributes:
        line: Line number in the file, from 1.
        speaker: Code of the speaker.
        span: First sample and the one after the last; None: no time mark.
        spoken: Audible words, as spelled.
        phonetic: The requested phonetic tier; None: it has none.
        tiers: Names of all its tiers, without ``%``.
        main: The main line as it is written, without the speaker.
    """

    line: int
    speaker: Participant
    span: tuple[int, int] | None
    spoken: str
    phonetic: str | None
    tiers: tuple[str, ...]
    main: str = ""

    @property
    def phonetic_words(self) -> list[str]:
        """Words of the phonetic tier, without pauses and punctuation."""
        return [word for word in (self.phonetic or "").split() if not _SILENT.fullmatch(word)]

    @property
    def is_intelligible(self) -> bool:
        """True if the phonetic tier covers all words of the utterance.

        ``xxx`` on the main line is accepted if the phonetic tier has a word for it.
        """
        words = self.phonetic_words
        if any("*" in word or word in _UNINTELLIGIBLE for word in words):
            return False
        spelled = [word for word in self.spoken.split() if word[0].isalnum()]
        return _UNINTELLIGIBLE.isdisjoint(spelled) or len(words) >= len(spelled)


@dataclass(frozen=True)
class Transcript:
    """A transcript: the recording's name from ``@Media``, if any, the participants, and the utterances."""

    media: str | None
    participants: tuple[Participant, ...]
    utterances: tuple[Utterance, ...]


def read_transcript(path: Path, tier: str) -> Transcript:
    """Read a transcript with one of its phonetic tiers (``pho``).

    Raises:
        AnnotationError: unreadable, malformed, or without any time mark; the message names the line.
        MissingExtraError: pylangacq is not installed.
    """
    lines = list(read_lines(path))
    main_lines = _main_lines(path, lines, f"%{tier}:")
    parsed = _parse(path, lines)
    participants = {
        one.code: Participant(one.code, one.name or "", one.role or "", one.corpus or "", one.sex or "")
        for header in parsed.headers()
        for one in header.participants
    }
    spoken = [one for one in parsed.utterances() if one.participant is not None]
    if len(spoken) != len(main_lines):
        raise AnnotationError(
            f"{path}: malformed, {len(spoken)} utterances in {len(main_lines)} main lines; check it with CLAN's CHECK"
        )
    utterances = tuple(
        _utterance(f"{path}, line {line}", line, one, participants, tier)
        for line, one in zip(main_lines, spoken, strict=True)
    )
    if all(one.span is None for one in utterances):
        raise AnnotationError(
            f"{path}: no utterance has a time mark; link it to its recording in CLAN or Phon, or leave it out with "
            "select"
        )
    return Transcript(_media(parsed), tuple(participants.values()), utterances)


def _main_lines(path: Path, lines: Sequence[str], tier: str) -> list[int]:
    """Lines on which utterances begin."""
    found: list[int] = []
    described = 0
    for number, line in enumerate(lines, start=1):
        beginning = _BEGINNING.match(line)
        if line and beginning is None:
            raise AnnotationError(
                f"{path}, line {number}: not a line of CHAT ({line[:40]!r}); they begin with @, *CODE:, %tier: or tab"
            )
        if line.startswith("*"):
            found.append(number)
        elif line.startswith(tier):
            last = found[-1] if found else 0
            if last == described:
                raise AnnotationError(
                    f"{path}, line {number}: a {tier} with no utterance of its own; keep one for each"
                )
            described = last
    return found


def _parse(path: Path, lines: Sequence[str]) -> CHAT:
    try:
        from pylangacq import CHAT
    except ImportError:
        raise MissingExtraError("reading CHAT transcripts (.cha)", "chat") from None
    text = "\n".join([*lines, ""])
    try:
        return CHAT.from_strs([text], [path.name], parallel=False, strict=False, mor_tier=None, gra_tier=None)
    except ValueError as error:
        raise AnnotationError(f"{path}: not a CHAT transcript ({error}); check it with CLAN's CHECK") from error


def _utterance(
    where: str, line: int, parsed: ParsedUtterance, participants: dict[str, Participant], tier: str
) -> Utterance:
    code = parsed.participant or ""
    tiers = parsed.tiers or {}
    return Utterance(
        line,
        participants.get(code, Participant(code, "", "", "")),
        _span(tiers.get(code, ""), where),
        parsed.audible or "",
        tiers.get(f"%{tier}"),
        tuple(sorted(name[1:] for name in tiers if name.startswith("%"))),
        tiers.get(code, "").strip(),
    )


def _span(main: str, where: str) -> tuple[int, int] | None:
    """From the first time mark of a main line to the last: an utterance may have one for each of its parts."""
    if _BULLET not in main:
        return None
    if _BULLET in _MARK.sub("", main):
        raise AnnotationError(
            f"{where}: a time mark that is not start_end in milliseconds; CLAN's FIXBULLETS renews those of old files"
        )
    marks = [(int(start), int(end)) for start, end in _MARK.findall(main)]
    start, end = min(start for start, _ in marks), max(end for _, end in marks)
    if any(end <= start for start, end in marks):
        raise AnnotationError(f"{where}: from {start} to {end} ms is no stretch of time")
    return ms_to_samples(start), ms_to_samples(end)


def _media(parsed: CHAT) -> str | None:
    """Bare name of the recording; some files give an address, quotes, or an extension."""
    media = parsed.headers()[0].media
    name = ((media or {}).get("filename") or "").strip('"').rpartition("/")[2]
    path = Path(name)
    return (path.stem if path.suffix.lower() in AUDIO_SUFFIXES else name) or None
