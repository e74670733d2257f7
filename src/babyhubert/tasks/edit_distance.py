"""Edit distance between sequences: fewest insertions, deletions and substitutions (Levenshtein)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def edit_distance(reference: Sequence[Hashable], found: Sequence[Hashable]) -> int:
    """Fewest edits that make one sequence the other. A row of the table at a time, in O(len(found)) memory."""
    codes: dict[Hashable, int] = {}
    ours = np.array([codes.setdefault(symbol, len(codes)) for symbol in reference], dtype=np.int64)
    theirs = np.array([codes.setdefault(symbol, len(codes)) for symbol in found], dtype=np.int64)
    columns = np.arange(len(theirs) + 1)
    row = columns.copy()
    for symbol in ours:
        changed = row + 1  # a deletion
        changed[1:] = np.minimum(changed[1:], row[:-1] + (theirs != symbol))
        row = np.minimum.accumulate(changed - columns) + columns  # insertions, any number
    return int(row[-1])
