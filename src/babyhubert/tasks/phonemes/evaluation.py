"""Phoneme error rate of predicted transcriptions, with its parts, groups and confidence intervals.

As published: the edit distances of all utterances over all reference phonemes. Added here: its parts (substitutions,
deletions, insertions), groups, intervals over speakers, the most frequent confusions, an error in articulatory
features, and baselines that use no audio.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from babyhubert.errors import AnnotationError, ConfigError, MissingExtraError
from babyhubert.evaluation.bootstrap import check_bootstrap, percentile_ends, resampled_sums
from babyhubert.evaluation.recording_table import in_order, members
from babyhubert.phonology.edit_distance import Sequences, align, best_constant, weighted_distances
from babyhubert.tasks.phonemes.tables import PUBLISHED_PHONEMES, Pair, Pairing

HITS, SUBSTITUTIONS, DELETIONS, INSERTIONS = range(4)
NO_UTTERANCE = "(no utterance)"
"""Group of predictions without an utterance in the reference, unless their recording determines the group."""

_UNIT_COLUMNS = ("child_id", "child_pseudoid", "speaker_id")
_LEARN_FROM, _LEARN_UP_TO = 5_000, 100


def error_rate(operations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Errors over reference phonemes from hits, substitutions, deletions, insertions: (..., 4) to (...).

    NaN without reference phonemes.
    """
    operations = np.asarray(operations, dtype=np.float64)
    phonemes = operations[..., :INSERTIONS].sum(axis=-1)
    wrong = operations[..., SUBSTITUTIONS:].sum(axis=-1)
    return np.where(phonemes > 0, wrong / np.where(phonemes > 0, phonemes, 1), np.nan)


@dataclass(frozen=True)
class GroupScore:
    """The error rate of some utterances.

    Attributes:
        column: Column by which they are grouped.
        group: Their value of it.
        utterances: Number of utterances.
        operations: Hits, substitutions, deletions, insertions.
        interval: Ends for the error rate, NaN where unknown.
    """

    column: str
    group: str
    utterances: int
    operations: tuple[int, int, int, int]
    interval: tuple[float, float]

    @property
    def rate(self) -> float:
        """Errors over reference phonemes."""
        return float(error_rate(np.array(self.operations)))


@dataclass(frozen=True)
class Baseline:
    """A baseline that uses no audio: the same symbols for every utterance."""

    name: str
    symbols: tuple[str, ...]
    rate: float


@dataclass(frozen=True)
class FeatureError:
    """Edit distance in articulatory features over reference phonemes.

    Attributes:
        rate: Substituting costs the fraction of panphon's features that differ; inserting and deleting cost 1.
        unknown: Symbols that panphon does not take as one segment: substituting them costs 1.
    """

    rate: float
    unknown: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PhonemeReport:
    """Result of :func:`score_phonemes`.

    Attributes:
        pairing: Scored and skipped utterances.
        symbols: P symbols of either side, sorted.
        operations: Hits, substitutions, deletions, insertions of each pair, int64, shape (U, 4).
        confusions: Reference (rows) by prediction, the last for nothing, int64, shape (P + 1, P + 1).
        groups: Scores by group, in the order of the requested columns; ages by value, names by size.
        unit: The column of the bootstrap's units.
        units: Number of units.
        interval: Ends for the error rate over units; NaN with fewer than two.
        confidence: Fraction of resamples within.
        resamples: Number of resamples, 0 for none.
        baselines: Scores of baselines that use no audio.
        features: The error in features; None if panphon is not installed.
        outside: Symbols outside the inventory by side, with their number.
    """

    pairing: Pairing
    symbols: tuple[str, ...]
    operations: NDArray[np.int64]
    confusions: NDArray[np.int64]
    groups: tuple[GroupScore, ...]
    unit: str
    units: int
    interval: tuple[float, float]
    confidence: float
    resamples: int
    baselines: tuple[Baseline, ...]
    features: FeatureError | None
    outside: Mapping[str, Mapping[str, int]]

    @property
    def totals(self) -> NDArray[np.int64]:
        """Hits, substitutions, deletions, insertions over all pairs."""
        return self.operations.sum(axis=0)

    @property
    def rate(self) -> float:
        """The phoneme error rate; NaN without reference phonemes."""
        return float(error_rate(self.totals))

    @property
    def unanswered(self) -> int:
        """Reference utterances without a prediction: everything in them is deleted."""
        return sum(not pair.answered for pair in self.pairing.pairs)

    @property
    def without_phones(self) -> int:
        """Reference utterances without phones: everything predicted there is inserted."""
        return sum(pair.reference is not None and not pair.reference.phones for pair in self.pairing.pairs)

    def common_confusions(self, most: int) -> list[tuple[str, str, int]]:
        """The most frequent errors: reference symbol, predicted symbol (empty for none), count."""
        table = self.confusions.copy()
        np.fill_diagonal(table, 0)
        names = (*self.symbols, "")
        order = np.argsort(-table, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, table.shape)
        found = zip(rows.tolist(), columns.tolist(), table[rows, columns].tolist(), strict=True)
        return [(names[r], names[h], count) for r, h, count in found if count]


def score_phonemes(
    pairing: Pairing,
    *,
    by: Sequence[str] = (),
    unit: str | None = None,
    inventory: Sequence[str] = PUBLISHED_PHONEMES,
    rng: np.random.Generator | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> PhonemeReport:
    """Score predicted transcriptions.

    Args:
        pairing: References and their predictions.
        by: Columns of the reference to group by.
        unit: Column whose values are resampled; a child's or speaker's id where there is one, else the recording.
        inventory: Symbols of the model; others are reported.
        rng: Source of randomness; None: no intervals.
        resamples: Number of resamples.
        confidence: Fraction of them within an interval.

    Raises:
        AnnotationError: the reference has no phones.
        ConfigError: a column that the reference does not have.
    """
    check_bootstrap(max(resamples, 1), confidence)
    pairs = pairing.pairs
    if not any(pair.reference is not None and pair.reference.phones for pair in pairs):
        raise AnnotationError(_no_phones(pairing))
    columns = set().union(*(pair.reference.columns for pair in pairs if pair.reference is not None))
    for column in (*by, *(() if unit is None else (unit,))):
        if column not in columns:
            raise ConfigError(
                f"no column '{column}' in the reference; it has {', '.join(sorted(columns)) or 'no utterance'}"
            )
    symbols, truth, found = _numbered(pairs)
    counted = align(truth, found, len(symbols))
    unit = unit or next((name for name in _UNIT_COLUMNS if name in columns), None)
    units = _values(pairs, unit)
    sampling = _Sampling(rng if resamples else None, resamples, confidence)
    return PhonemeReport(
        pairing,
        symbols,
        counted.operations,
        counted.confusions,
        tuple(score for column in by for score in _by_group(column, pairs, counted.operations, units, sampling)),
        unit or "recording",
        len(set(units)),
        _interval(counted.operations, units, sampling),
        confidence,
        0 if sampling.rng is None else resamples,
        _baselines([text for text, pair in zip(truth, pairs, strict=True) if pair.reference], symbols),
        _feature_error(truth, found, symbols),
        _outside(pairs, inventory),
    )


def _no_phones(pairing: Pairing) -> str:
    spoken = sum(pair.reference is not None for pair in pairing.pairs)
    left_out = f" ({pairing.unknown} more, with unknown phones, are left out)" if pairing.unknown else ""
    return f"none of the {spoken} reference utterances to score has phones{left_out}: there is no error rate"


def _numbered(pairs: Sequence[Pair]) -> tuple[tuple[str, ...], Sequences, Sequences]:
    texts = [(() if pair.reference is None else pair.reference.phones, pair.predicted) for pair in pairs]
    symbols = tuple(sorted({symbol for sides in texts for side in sides for symbol in side}))
    number = {symbol: index for index, symbol in enumerate(symbols)}
    sides = [
        [np.array([number[symbol] for symbol in text[side]], dtype=np.int64) for text in texts] for side in (0, 1)
    ]
    return symbols, sides[0], sides[1]


def _values(pairs: Sequence[Pair], column: str | None) -> list[str]:
    """Group of every pair: a column of its reference, or of its recording's references if they agree."""
    if column is None:
        return [pair.recording for pair in pairs]
    recordings: dict[str, set[str]] = {}
    for pair in pairs:
        if pair.reference is not None:
            recordings.setdefault(pair.recording, set()).add(pair.reference.columns.get(column, ""))
    values = []
    for pair in pairs:
        shared = recordings.get(pair.recording, set())
        if pair.reference is not None:
            values.append(pair.reference.columns.get(column, ""))
        else:
            values.append(next(iter(shared)) if len(shared) == 1 else NO_UTTERANCE)
    return values


class _Sampling(NamedTuple):
    rng: np.random.Generator | None
    resamples: int
    confidence: float


def _by_group(
    column: str, pairs: Sequence[Pair], operations: NDArray[np.int64], units: Sequence[str], sampling: _Sampling
) -> list[GroupScore]:
    groups = members(_values(pairs, column))
    scores = []
    for value in in_order(groups):
        rows = groups[value]
        ends = _interval(operations[rows], [units[row] for row in rows], sampling)
        hits, changed, gone, new = operations[rows].sum(axis=0).tolist()
        spoken = sum(pairs[row].reference is not None for row in rows)
        scores.append(GroupScore(column, value, spoken, (hits, changed, gone, new), ends))
    return scores


def _interval(operations: NDArray[np.int64], units: Sequence[str], sampling: _Sampling) -> tuple[float, float]:
    rng, resamples, confidence = sampling
    names, place = np.unique(np.array(units, dtype=object).astype(str), return_inverse=True)
    if rng is None or len(names) < 2:
        return float("nan"), float("nan")
    counts = np.zeros((len(names), 4), dtype=np.int64)
    np.add.at(counts, place, operations)
    low, high = percentile_ends(error_rate(resampled_sums(counts, rng, resamples)), confidence).tolist()
    return low, high


def _baselines(truth: Sequences, symbols: tuple[str, ...]) -> tuple[Baseline, ...]:
    """The best constant answer found (on these references), and the most frequent phoneme."""
    known = [sequence for sequence in truth if len(sequence) <= _LEARN_UP_TO]
    sample = known[:: max(-(-len(known) // _LEARN_FROM), 1)]
    counts = np.bincount(np.concatenate(truth), minlength=len(symbols))
    answers = {
        "best constant answer": best_constant(sample, len(symbols)),
        "commonest phoneme": np.array([counts.argmax()]),
    }
    found = []
    for name, answer in answers.items():
        operations = align(truth, [answer] * len(truth), len(symbols)).operations.sum(axis=0)
        found.append(Baseline(name, tuple(symbols[s] for s in answer.tolist()), float(error_rate(operations))))
    return tuple(found)


def _feature_error(truth: Sequences, found: Sequences, symbols: tuple[str, ...]) -> FeatureError | None:
    from babyhubert.phonology.features import feature_costs

    try:
        cost, unknown = feature_costs(symbols)
    except MissingExtraError:
        return None
    total = sum(map(len, truth))
    distance = weighted_distances(truth, found, cost).sum()
    return FeatureError(float(distance / total), unknown)


def _outside(pairs: Sequence[Pair], inventory: Sequence[str]) -> dict[str, dict[str, int]]:
    known = set(inventory)
    sides = {
        "reference": (symbol for pair in pairs if pair.reference for symbol in pair.reference.phones),
        "predictions": (symbol for pair in pairs for symbol in pair.predicted),
    }
    return {
        side: dict(Counter(symbol for symbol in symbols if symbol not in known).most_common())
        for side, symbols in sides.items()
    }
