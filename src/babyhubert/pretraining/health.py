"""Checks against errors that waste weeks of training without a message, each with an explanation.

A run on wrong labels trains without an error: the loss falls to the entropy of the unit frequencies, and stays. So
labels are checked before the first step, and progress is compared with chance after the learning rate's maximum.
"""

from __future__ import annotations

import numpy as np

from babyhubert.corpus.shards import Labels, Pack
from babyhubert.errors import CorpusError, TrainingError
from babyhubert.pretraining.settings import HealthSettings
from babyhubert.units.counts import UnitCounts

_SHARDS_LOOKED_AT = 64
_MARGIN_NATS = 0.02


def check_labels(labels: Labels, settings: HealthSettings) -> UnitCounts:
    """Check the labels, and their audio, before training.

    At most 64 shards are read, evenly spread over the pack.

    Raises:
        CorpusError: an invalid label, a shard without sound, or too many dead units.
    """
    counts = np.zeros(labels.clusters, dtype=np.int64)
    shards = labels.pack.shards
    step = max(1, len(shards) // _SHARDS_LOOKED_AT)
    for shard in shards[::step]:
        found = labels.shard(shard.number)
        if len(found) and int(found.max()) >= labels.clusters:
            raise CorpusError(
                f"{labels.folder / 'shards' / shard.labels_name}: label {int(found.max())} where the k-means has "
                f"{labels.clusters} units; these labels are of another k-means, assign them again"
            )
        counts += np.bincount(found, minlength=labels.clusters)
        _require_sound(labels.pack, shard.number)
    if counts.sum() == 0:
        raise CorpusError(f"{labels.folder}: not one label; look at the pack and at the units step")
    statistics = UnitCounts(counts)
    share = len(statistics.dead) / labels.clusters
    if share > settings.most_dead_units:
        raise CorpusError(
            f"{labels.folder}: {len(statistics.dead)} of {labels.clusters} units never occur "
            f"({100 * share:.0f}%, health.most_dead_units is {100 * settings.most_dead_units:.0f}%): the k-means does "
            "not fit this material; fit it again, with fewer clusters or more frames"
        )
    return statistics


def _require_sound(pack: Pack, number: int) -> None:
    """Check that one of a shard's first segments contains anything but zeros."""
    rows = pack.rows_of(number)
    if len(rows) and not any(pack.pcm(row).any() for row in rows[:: max(1, len(rows) // 16)].tolist()):
        raise CorpusError(
            f"{pack.folder}: shard {number} holds digital silence only; look at the recordings "
            f"{pack.recordings[pack.recording[rows[0]]]} to {pack.recordings[pack.recording[rows[-1]]]}"
        )


def check_progress(cross_entropy: float, statistics: UnitCounts, step: int, settings: HealthSettings) -> None:
    """Compare the loss after the warm-up with chance.

    Args:
        cross_entropy: Mean over masked frames of the last interval, nats.
        statistics: Statistics of the labels.
        step: Number of the step, for the message.
        settings: Settings of the checks.

    Raises:
        TrainingError: the model predicts no better than unit frequencies do.
    """
    if settings.stop_at_chance and cross_entropy > statistics.entropy - _MARGIN_NATS:
        raise TrainingError(
            f"step {step}: the loss on masked frames is {cross_entropy:.3f} nats and unit frequencies alone give "
            f"{statistics.entropy:.3f}: nothing is learnt. Usual causes: labels of other audio, a learning rate "
            "that is far too high or low (health.stop_at_chance = false goes on all the same)"
        )
