"""Praat's TextGrids, through praatio.

Times are seconds. Every tier covers the whole recording: gaps are intervals without text, so an interval *is* a
segment only if it has a text; the writer puts the tier's name there where there is no transcription.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from babyhubert.annotation.codes import label_of_tier, parent_of_tier
from babyhubert.annotation.text import unreadable
from babyhubert.annotation.tiers import Piece, Tier
from babyhubert.errors import AnnotationError
from babyhubert.files import atomic_path

if TYPE_CHECKING:
    from praatio.textgrid import Textgrid


def write_textgrid(path: Path, tiers: Sequence[Tier], duration_ms: int) -> None:
    """Write tiers in Praat's long text format, UTF-8.

    Args:
        path: The file.
        tiers: At least one; Praat opens no TextGrid without.
        duration_ms: Length of the recording; the file reaches further where a segment does.

    Raises:
        OutputError: the file cannot be written.
    """
    from praatio.data_classes.interval_tier import IntervalTier
    from praatio.textgrid import Textgrid

    ends = [piece.end for tier in tiers for piece in tier.pieces]
    end = max([duration_ms, 1, *ends]) / 1000
    names = [tier.name for tier in tiers]
    grid = Textgrid(0, end)
    for tier in tiers:
        filler = label_of_tier(tier.name, names) or tier.name
        entries = [(piece.start / 1000, piece.end / 1000, piece.text.strip() or filler) for piece in tier.pieces]
        grid.addTier(IntervalTier(tier.name, entries, 0, end))
    with atomic_path(path) as temporary:
        grid.save(str(temporary), format="long_textgrid", includeBlankSpaces=True, minimumIntervalLength=None)


def read_textgrid_tiers(path: Path) -> list[Tier]:
    """Every interval tier of a file, in its order, without the intervals that have no text.

    Raises:
        AnnotationError: unreadable, not a TextGrid, or of the binary kind.
    """
    tiers = []
    for tier in _open(path).tiers:
        if tier.tierType == "IntervalTier":
            pieces = tuple(_piece(entry, f"{path}, tier {tier.name}") for entry in tier.entries)
            tiers.append(Tier(tier.name, pieces, parent_of_tier(tier.name)))
    return tiers


def _open(path: Path) -> Textgrid:
    from praatio.textgrid import openTextgrid

    try:
        return openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError:
        raise AnnotationError(f"{path}: not a TextGrid in UTF-8 or UTF-16; save it as a text file in Praat") from None
    except Exception as error:  # praatio raises whatever its parsing runs into
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AnnotationError(f"{path}: not a TextGrid that can be read ({reason})") from error


def _piece(entry: tuple[float, float, str], where: str) -> Piece:
    start, end, text = entry
    if start < 0:
        raise AnnotationError(f"{where}: an interval starts at {start} s, before the recording")
    return Piece(_ms(start), _ms(end), text)


def _ms(seconds: float) -> int:
    """Nearest millisecond (halves go up)."""
    return math.floor(seconds * 1000 + 0.5)
