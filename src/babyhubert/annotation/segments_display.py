"""Segments as people see them in a terminal and in a notebook: a table in seconds, of the first and last rows."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from babyhubert.timebase import format_clock, format_seconds

if TYPE_CHECKING:
    from babyhubert.annotation.segments import Segments

_MOST_ROWS = 20
_AT_EACH_END = 5
_MOST_COLUMNS = 8
_WIDEST = 30
_GAP = "..."


def text_table(segments: Segments) -> str:
    """A line that counts the segments, and a table in seconds for a terminal."""
    if not len(segments):
        return _caption(segments)
    header, rows = _cells(segments)
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    right = [name in ("", "start_s", "end_s") or _is_number(segments.columns.get(name)) for name in header]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (header, *rows)
    ]
    return "\n".join([_caption(segments), *lines])


def html_table(segments: Segments) -> str:
    """The same for a notebook."""
    caption = f"<p>{html.escape(_caption(segments))}</p>"
    if not len(segments):
        return caption
    header, rows = _cells(segments)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<div>{caption}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _caption(segments: Segments) -> str:
    count = len(segments)
    if not count:
        return "Segments: none"
    labels = ", ".join(f"{label} {number}" for label, number in sorted(Counter(segments.label).items()))
    span = f"{format_clock(int(segments.start[0]))} to {format_clock(int(segments.end.max()))}"
    return f"Segments: {count}, from {span} ({labels})"


def _cells(segments: Segments) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table; a row of dots stands for those left out."""
    names = list(segments.columns)
    shown = names[: _MOST_COLUMNS - 1] if len(names) > _MOST_COLUMNS else names
    header = ["", "start_s", "end_s", "label", *shown]
    count = len(segments)
    if count <= _MOST_ROWS:
        rows = [_row(segments, index, shown) for index in range(count)]
    else:
        first = [_row(segments, index, shown) for index in range(_AT_EACH_END)]
        last = [_row(segments, index, shown) for index in range(count - _AT_EACH_END, count)]
        rows = [*first, [_GAP] * len(header), *last]
    if len(shown) < len(names):
        header.append(f"({len(names) - len(shown)} more columns)")
        rows = [[*row, _GAP] for row in rows]
    return header, rows


def _row(segments: Segments, index: int, names: Sequence[str]) -> list[str]:
    times = format_seconds(int(segments.start[index])), format_seconds(int(segments.end[index]))
    cells = [_cell(segments.columns[name][index]) for name in names]
    return [str(index), *times, _cell(segments.label[index]), *cells]


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.3g}"
    if isinstance(value, tuple | list):
        value = f"{len(value)} values" if len(value) != 1 else "1 value"
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _is_number(values: Any) -> bool:
    return values is not None and values.dtype.kind in "iuf"
