"""WebVTT captions (W3C), for players and transcription tools: a cue a segment, its voice in a span ``<v KCHI>``.

Times are whole milliseconds, cues may overlap, so a recording is one file. The text of a cue is the transcription;
where there is none it is the label, since players show no voices, and a text that is the label is none when read.
Several voices in one cue are a segment each. Other marks (classes, italics, ruby, languages, karaoke times), settings
of cues, comments, styles and regions are passed over. Control characters are written as in web addresses
(:mod:`babyhubert.annotation.escapes`), so that no cue ends early, and read back.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from babyhubert.annotation.escapes import CONTROL, escape, unescape
from babyhubert.annotation.recording_rows import Parts
from babyhubert.annotation.segments import Segments
from babyhubert.annotation.text import read_lines, shortened
from babyhubert.annotation.tiers import column_texts
from babyhubert.errors import AnnotationError, counted
from babyhubert.files import write_text
from babyhubert.timebase import LONGEST_RECORDING_S, ms_to_samples, samples_to_ms

if TYPE_CHECKING:
    from babyhubert.annotation.formats import WrittenRecording

_ARROW = "-->"
_SIGNATURE = re.compile(r"WEBVTT(?:[ \t].*)?", re.DOTALL)
_TIMES = re.compile(r"[ \t]*(\S+)[ \t]*-->[ \t]*(\S+)(?:[ \t].*)?", re.DOTALL)
_TIME = re.compile(r"(?:([0-9]{2,9}):)?([0-5][0-9]):([0-5][0-9])\.([0-9]{3})")
_PASSED_OVER = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t].*)?", re.DOTALL)
_OTHER_CLOCK = "X-TIMESTAMP-MAP"
_TAG = re.compile(r"<([^>]*)>")
_VOICE = re.compile(r"v(?:\.[^\s>]*)?(?:\s+(.*))?", re.DOTALL)


def format_webvtt(segments: Segments) -> str:
    """The text of a file; its first line alone when there is no segment of a millisecond or more."""
    texts = column_texts(segments, "transcription")
    cues = ["WEBVTT\n"]
    for (start, end, label), text in zip(segments, texts, strict=True):
        first, last = samples_to_ms(start), samples_to_ms(end)
        if first < last:
            said = _written(text) if text.strip() else _written(label)
            cues.append(f"\n{_clock(first)} {_ARROW} {_clock(last)}\n<v {_written(label)}>{said}\n")
    return "".join(cues)


def write_file(path: Path, recording: WrittenRecording) -> Iterator[str]:
    """Write one recording's segments; a sentence where some are too short for a cue."""
    segments = recording.segments
    write_text(path, format_webvtt(segments))
    too_short = sum(samples_to_ms(start) == samples_to_ms(end) for start, end, _ in segments)
    if too_short:
        yield f"{counted(too_short, 'segment')} shorter than 1 ms left out: a WebVTT cue cannot hold them"


def _written(text: str) -> str:
    """Text of a cue; two hyphens at its end would make an arrow with the ``>`` of a span."""
    written = html.escape(escape(text, CONTROL), quote=False)
    return f"{written[:-1]}&#45;" if written.endswith("--") else written


def _clock(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def read_file(path: Path, recording_id: str) -> Parts:
    """As :func:`read_webvtt`, under the name of the recording."""
    return {recording_id: read_webvtt(path)}


def read_webvtt(path: Path) -> Segments:
    """Segments of one file, with a column ``transcription`` where a cue says more than who speaks.

    Raises:
        AnnotationError: unreadable, not WebVTT, or a cue without times or voice (the line is named).
    """
    lines = read_lines(path)
    if not lines or not _SIGNATURE.fullmatch(lines[0]):
        raise AnnotationError(f"{path}: not a WebVTT file: its first line is not WEBVTT")
    if any(line.startswith(_OTHER_CLOCK) for line in itertools.takewhile(bool, lines)):
        raise AnnotationError(f"{path}: its times are those of a stream ({_OTHER_CLOCK}); save it for the whole file")
    rows: list[tuple[int, int, str]] = []
    texts: list[str] = []
    for number, block in _blocks(lines):
        for start, end, label, text in _cue(path, number, block):
            rows.append((start, end, label))
            texts.append(text)
    if not any(texts):
        return Segments.from_rows(rows)
    starts, ends, labels = (np.array(column, dtype=object) for column in zip(*rows, strict=True))
    return Segments(starts, ends, labels, {"transcription": np.array(texts, dtype=object)})


def _blocks(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Lines between blank ones, with the number of the first; without the header, which has no cue."""
    block: list[str] = []
    header = True
    for number, line in enumerate([*lines[1:], ""], start=2):
        if line:
            block.append(line)
            continue
        if block and not (header and not any(_ARROW in one for one in block)):
            yield number - len(block), block
        block, header = [], False


def _cue(path: Path, number: int, block: list[str]) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, label and text of each voice of a cue; nothing of a comment, style or region."""
    timed = next((place for place, line in enumerate(block[:2]) if _ARROW in line), None)
    if timed is None:
        if _PASSED_OVER.fullmatch(block[0]):
            return
        raise AnnotationError(
            f"{path}, line {number}: not a cue ('00:00:01.000 --> 00:00:02.500'): {shortened(block[0])}"
        )
    where = f"{path}, line {number + timed}"
    match = _TIMES.fullmatch(block[timed])
    if match is None:
        raise AnnotationError(f"{where}: not the times of a cue: {shortened(block[timed])}")
    start, end = _milliseconds(match[1], where), _milliseconds(match[2], where)
    if end < start:
        raise AnnotationError(f"{where}: ends at {match[2]}, before it starts at {match[1]}")
    payload = block[timed + 1 :]
    if any(_ARROW in line for line in payload):
        raise AnnotationError(f"{where}: two cues without a blank line between them; put one there")
    for label, text in _voices("\n".join(payload), where):
        yield ms_to_samples(start), ms_to_samples(end), label, text


def _voices(payload: str, where: str) -> list[tuple[str, str]]:
    """Label of each voice span and the text in it, without other marks.

    Raises:
        AnnotationError: a text outside voices, a voice without a name, or no voice.
    """
    found: list[tuple[str, list[str]]] = []
    inside, place = False, 0
    for tag in (*_TAG.finditer(payload), None):
        text = payload[place : None if tag is None else tag.start()]
        if inside:
            found[-1][1].append(text)
        elif text.strip():
            raise AnnotationError(f"{where}: no voice says {shortened(text.strip())}; begin it with <v KCHI>, say")
        if tag is None:
            break
        place = tag.end()
        voice = _VOICE.fullmatch(tag[1])
        if voice is not None:
            found.append((_read(voice[1] or "", where), []))
            inside = True
        elif tag[1].strip() == "/v":
            inside = False
    if not found:
        raise AnnotationError(f"{where}: a cue without a voice; begin its text with <v KCHI>, say")
    return [(label, _said(label, "".join(parts))) for label, parts in found]


def _said(label: str, payload: str) -> str:
    text = unescape(html.unescape(payload), CONTROL).strip()
    return "" if text == label else text


def _read(annotation: str, where: str) -> str:
    label = unescape(html.unescape(annotation).strip(), CONTROL)
    if not label:
        raise AnnotationError(f"{where}: a voice without a name; write <v KCHI>, say")
    return label


def _milliseconds(text: str, where: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise AnnotationError(f"{where}: {shortened(text)} is no time such as 01:23:45.678")
    hours, minutes, seconds, rest = (int(part or 0) for part in match.groups())
    total = ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest
    if total > 1000 * LONGEST_RECORDING_S:
        raise AnnotationError(
            f"{where}: {text} is longer than any recording lasts ({LONGEST_RECORDING_S // 86400} days)"
        )
    return total
