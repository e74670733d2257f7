"""Forced alignment: the frames of each phone of an utterance, if only their order is known.

There are two methods, neither of which uses an encoder:

* ``uniform``: the phones of an utterance divide its speech (first to last frame within 35 dB of the loudest) evenly.
* ``gaussian``: starting from there, one diagonal Gaussian per phone over MFCC with differences (mean and variance
normalised within each utterance) and the best path through the phones in order, with optional silence at both ends,
are estimated in turn. This is what a flat-started monophone recogniser does. It trusts the transcript, and its
shortest phone is one frame.

Everything is held in memory, about 30 MB per hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.audio.mfcc import mfcc
from babyhubert.timebase import FRAME_HOP, FRAME_RECEPTIVE_FIELD

Aligner = Literal["uniform", "gaussian"]

_SPEECH_RANGE_DB = 35.0
_ROUNDS = 10
_LEAST_VARIANCE = 0.01
_UTTERANCES_AT_ONCE = 64
_FRAMES_AT_ONCE = 40_000


@dataclass(frozen=True, eq=False)
class SpokenPhones:
    """Phones of an utterance, with its features.

    Attributes:
        phones: Indices of its phones, int64 (P,).
        features: Normalised MFCC, float32 (T, 39).
        level: Power of each frame in dB, float32 (T,).
    """

    phones: NDArray[np.int64]
    features: NDArray[np.float32]
    level: NDArray[np.float32]

    @classmethod
    def from_audio(cls, audio: Sequence[NDArray[np.float32]], phones: NDArray[np.int64]) -> SpokenPhones:
        """Compute features of an utterance, which may be in several parts, float32, 16 kHz, one after the other.

        Raises:
            MissingExtraError: kaldi-native-fbank is not installed.
        """
        features = np.concatenate([mfcc(part) for part in audio])
        features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-3)
        return cls(phones, features.astype(np.float32), np.concatenate([_level(part) for part in audio]))


def find_paths(utterances: Sequence[SpokenPhones], aligner: Aligner, silence: int) -> list[NDArray[np.int64]]:
    """A phone for each frame of each utterance, int64 (T,).

    Args:
        utterances: Each with at least as many frames as phones.
        aligner: See the module.
        silence: Index of silence, the last of the phones.
    """
    paths = [uniform_path(found, silence) for found in utterances]
    return gaussian_paths(utterances, paths, silence + 1) if aligner == "gaussian" else paths


def uniform_path(utterance: SpokenPhones, silence: int) -> NDArray[np.int64]:
    """Phone of each frame, int64 (T,): evenly over the speech, silence outside it."""
    level, count = utterance.level, len(utterance.phones)
    loud = np.flatnonzero(level > level.max() - _SPEECH_RANGE_DB)
    begin, end = int(loud[0]), int(loud[-1]) + 1
    if end - begin < count:
        begin, end = 0, len(level)
    path = np.full(len(level), silence, dtype=np.int64)
    path[begin:end] = utterance.phones[np.arange(end - begin) * count // (end - begin)]
    return path


def gaussian_paths(
    utterances: Sequence[SpokenPhones], paths: Sequence[NDArray[np.int64]], phones: int, rounds: int = _ROUNDS
) -> list[NDArray[np.int64]]:
    """Improve paths: estimate Gaussians of the phones and best paths through them in turn.

    Args:
        utterances: Phones and features.
        paths: A phone for each frame to begin with.
        phones: Number of phones; the last is silence.
        rounds: Maximum number of rounds; ends early when no frame changes.
    """
    for _ in range(rounds):
        mean, variance = _gaussians(utterances, paths, phones)
        better = best_paths(utterances, mean, variance)
        unchanged = all(np.array_equal(old, new) for old, new in zip(paths, better, strict=True))
        paths = better
        if unchanged:
            break
    return list(paths)


def best_paths(
    utterances: Sequence[SpokenPhones], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> list[NDArray[np.int64]]:
    """The likeliest phone for each frame, given their order; silence, the last phone, may stand at both ends.

    Args:
        utterances: Phones and features; each with at least as many frames as phones.
        mean: Mean of each phone, (P, D).
        variance: Variance of each phone, (P, D).
    """
    result: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * len(utterances)
    for batch in _batches([len(found.features) for found in utterances]):
        for index, path in zip(batch, _best_paths([utterances[i] for i in batch], mean, variance), strict=True):
            result[index] = path
    return result


def _best_paths(
    batch: Sequence[SpokenPhones], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> list[NDArray[np.int64]]:
    """Viterbi over the states silence, phones, silence; each may be left for the next one after a frame."""
    silence = len(mean) - 1
    lengths = np.array([len(found.features) for found in batch])
    last_phone = np.array([len(found.phones) for found in batch])
    states = np.full((len(batch), last_phone.max() + 2), silence)
    fit = np.full((len(batch), lengths.max(), states.shape[1]), -np.inf)
    for index, found in enumerate(batch):
        states[index, 1 : len(found.phones) + 1] = found.phones
        used = states[index, : len(found.phones) + 2]
        fit[index, : len(found.features), : len(used)] = _log_likelihood(found.features, mean, variance)[:, used]
    everyone = np.arange(len(batch))
    score = np.where(np.arange(states.shape[1]) <= 1, fit[:, 0], -np.inf)
    moved = np.zeros((lengths.max(), *states.shape), dtype=bool)
    final = score.copy()
    for time in range(1, lengths.max()):
        before = np.concatenate([np.full((len(batch), 1), -np.inf), score[:, :-1]], axis=1)
        moved[time] = before > score
        score = np.maximum(before, score) + fit[:, time]
        going = time < lengths
        final[going] = score[going]
    in_silence = final[everyone, last_phone + 1] > final[everyone, last_phone]
    state = np.where(in_silence, last_phone + 1, last_phone)
    taken = np.zeros(fit.shape[:2], dtype=np.int64)
    for time in range(lengths.max() - 1, -1, -1):
        taken[:, time] = states[everyone, state]
        state = state - (moved[time, everyone, state] & (time < lengths))
    return [path[:length] for path, length in zip(taken, lengths.tolist(), strict=True)]


def _log_likelihood(
    features: NDArray[np.float32], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log density of each frame under each phone's Gaussian but for a constant, (T, P)."""
    constant = (mean**2 / variance + np.log(variance)).sum(axis=1)
    squares = features.astype(np.float64) ** 2 @ (1 / variance).T
    return -0.5 * (squares - 2 * features @ (mean / variance).T + constant)


def _gaussians(
    utterances: Sequence[SpokenPhones], paths: Sequence[NDArray[np.int64]], phones: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the frames of each phone, (P, D); those of all frames if a phone has none."""
    features = np.concatenate([found.features for found in utterances]).astype(np.float64)
    path = np.concatenate(paths)
    order = np.argsort(path, kind="stable")
    count = np.bincount(path, minlength=phones)
    present = np.flatnonzero(count)
    begins = (np.cumsum(count) - count)[present]
    mean = np.tile(features.mean(axis=0), (phones, 1))
    variance = np.tile(features.var(axis=0), (phones, 1))
    share = count[present, None]
    mean[present] = np.add.reduceat(features[order], begins) / share
    variance[present] = np.add.reduceat(features[order] ** 2, begins) / share - mean[present] ** 2
    return mean, np.maximum(variance, _LEAST_VARIANCE * np.maximum(features.var(axis=0), 1e-6))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of utterances of similar length, so that little of a batch is padding."""
    batch: list[int] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) == _UTTERANCES_AT_ONCE or (len(batch) + 1) * lengths[index] > _FRAMES_AT_ONCE):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _level(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power of the samples of each frame, in dB, (T,)."""
    seen = np.lib.stride_tricks.sliding_window_view(audio, FRAME_RECEPTIVE_FIELD)[::FRAME_HOP]
    return 10 * np.log10(np.square(seen).mean(axis=1) + 1e-10)
