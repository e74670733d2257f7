"""Minutes of each voice type corrected with rates of confusion from other recordings.

The time that the machine gives a class is the sum, over true classes, of their time times the rate at which the
machine finds the class there. With rates from annotated recordings this is a system of linear equations for the true
minutes of recordings without annotation (misclassification correction by the matrix method: Buonaccorsi 2010,
section 2.3).

The recordings of the rates are resampled (bootstrap), once for the error of the mean rates, and from these as many as
there are recordings to correct, since their own rates differ from the mean as those of others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.text import CsvTable
from babyhubert.errors import AnnotationError
from babyhubert.evaluation.intervals import Deviations, Interval, total_interval, unknown_interval

Values = NDArray[np.float64]

RESAMPLES = 2000
_FEWEST = 3


@dataclass(frozen=True, eq=False)
class Rates:
    """Confusion in S recordings, of K classes of which the last is no voice.

    Attributes:
        classes: Names of the classes.
        minutes: Minutes of each true class (row) that the machine gives each class, shape (S, K, K).
        true: Minutes of each true class, shape (S, K).
        hours: Hours that these minutes stand for, shape (S,).
    """

    classes: Sequence[str]
    minutes: Values
    true: Values
    hours: Values

    @property
    def known(self) -> NDArray[np.bool_]:
        """Voices that occur, bool, shape (K - 1,): only these can be corrected."""
        return np.asarray(self.true.sum(axis=0)[:-1] > 0, dtype=bool)


def read_rates(path: Path, classes: Sequence[str]) -> Rates:
    """Read ``rates.csv`` that ``babyhubert estimate`` wrote, the rows of its recordings.

    Raises:
        AnnotationError: unreadable, malformed, of other classes, or without rows of recordings.
    """
    table = CsvTable(path)
    table.require("level", "name", "true", "found", "minutes", "true_minutes", "hours")
    size = len(classes)
    minutes: dict[str, Values] = {}
    true: dict[str, Values] = {}
    hours: dict[str, float] = {}
    for line, row in table:
        if row["level"] != "recording_id":
            continue
        if row["true"] not in classes or row["found"] not in classes:
            raise AnnotationError(f"{path}, line {line}: classes are {', '.join(classes)}, not {row['true']}")
        place = classes.index(row["true"]), classes.index(row["found"])
        try:
            found, of_class, length = (float(row[name]) for name in ("minutes", "true_minutes", "hours"))
        except ValueError:
            raise AnnotationError(f"{path}, line {line}: minutes and hours must be numbers") from None
        if not (0 <= found <= of_class * (1 + 1e-3) + 1e-3 and 0 < length < 1e9):
            raise AnnotationError(f"{path}, line {line}: {found} of {of_class} minutes in {length} h cannot be")
        minutes.setdefault(row["name"], np.zeros((size, size)))[place] = found
        true.setdefault(row["name"], np.zeros(size))[place[0]] = of_class
        hours[row["name"]] = length
    if not minutes:
        raise AnnotationError(
            f"{path}: has no rates of recordings; write it with 'babyhubert estimate OUT --reference R -o FOLDER'"
        )
    matrices, sums = (np.stack(list(each.values())) for each in (minutes, true))
    return Rates(classes, matrices, sums, np.array(list(hours.values())))


def correct_minutes(found: Values, hours: float, recordings: int, rates: Rates, rng: np.random.Generator) -> Interval:
    """Correct the minutes of each voice in recordings together.

    Args:
        found: Minutes that the machine finds, shape (K - 1,).
        hours: Length of the recordings.
        recordings: Their number.
        rates: Confusion in other recordings.
        rng: Source of the resamples.

    Returns:
        True minutes with intervals, shape (K - 1,). There are no intervals from fewer than three recordings; a voice
        that does not occur in the rates is NaN.
    """
    amounts = np.concatenate(
        [rates.minutes.reshape(len(rates.hours), -1), rates.true, 60 * rates.hours[:, None]], axis=1
    )
    value = _solve(amounts.sum(axis=0)[None], found, hours, rates.known)[0]
    if len(amounts) < _FEWEST:
        return unknown_interval(value)
    values = _solve(_resampled(amounts, recordings, rng), found, hours, rates.known)
    values = values[~np.isnan(values[:, rates.known]).any(axis=1)]
    lost = len(amounts) / (len(amounts) - 1)  # variance that the bootstrap of a mean does not see
    terms = np.nan_to_num(values - values.mean(axis=0)) * np.sqrt(lost / max(len(values), 1))
    deviations = Deviations(terms, np.zeros(len(terms), dtype=np.int64), np.array([len(amounts) - 1.0]))
    bounds = (np.zeros(len(value)), np.full(len(value), 60 * hours))
    return total_interval(value, deviations, bounds, rates.known, symmetric=True)


def _resampled(amounts: Values, recordings: int, rng: np.random.Generator) -> Values:
    """Sums over as many recordings as are corrected, each resample from recordings drawn before, shape (B, ...)."""
    sources = len(amounts)
    drawn = rng.multinomial(sources, np.full(sources, 1 / sources), size=RESAMPLES)
    sums: Values = rng.multinomial(recordings, drawn / sources) @ amounts
    return sums


def _solve(amounts: Values, found: Values, hours: float, known: NDArray[np.bool_]) -> Values:
    """True minutes for each of B sums of confusion, shape (B, K - 1).

    The time without voices is what is left of the recordings, with as much overlap of voices as in the rates.
    """
    voices = len(known)
    size = voices + 1
    minutes = amounts[:, : size * size].reshape(-1, size, size)
    true, total = amounts[:, size * size : -1], amounts[:, -1]
    share = np.divide(minutes, true[:, :, None], out=np.zeros_like(minutes), where=true[:, :, None] > 0)
    spoken = true[:, :voices].sum(axis=1)
    union = np.divide(total - true[:, -1], spoken, out=np.ones_like(spoken), where=spoken > 0)
    of_silence = share[:, -1, :voices]
    matrix = np.swapaxes(share[:, :voices, :voices], 1, 2) - union[:, None, None] * of_silence[:, :, None]
    for voice in np.flatnonzero(~known):  # no equation for a voice that is nowhere true
        matrix[:, voice], matrix[:, :, voice] = 0, 0
        matrix[:, voice, voice] = 1
    right = found - 60 * hours * of_silence
    usable = np.abs(np.linalg.det(matrix)) > 1e-9
    solved = np.full(right.shape, np.nan)
    solved[usable] = np.linalg.solve(matrix[usable], right[usable][:, :, None])[:, :, 0]
    return np.where(known, np.clip(solved, 0, 60 * hours), np.nan)
