"""When each phone of a transcript is said, where nobody has marked it.

Two ways, neither of which looks at units, so that any units can be compared on the result:

* ``uniform``: the phones of an utterance share its speech (first to last frame within 35 dB of the loudest) evenly.
  Boundaries are often wrong by more than a phone, so every measure on them is far below what a careful alignment
  gives; it serves to compare units with one another, not with published numbers.
* ``gaussian``: starting from there, one diagonal Gaussian a phone over MFCC with differences (mean and variance
  normalised within each recording) and the best path through the phones in order, with optional silence at both ends,
  in turn. This is what a flat-started monophone recogniser does. It still trusts the transcript, its shortest phone
  is one frame, and units made of MFCC hear what it hears, which favours them a little over others.

Utterances are recordings of a pack; where a recording was cut into several segments, its phones are laid over them one
after the other. Everything is kept in memory, about 30 MB an hour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.frames import FRAME_HOP, FRAME_RECEPTIVE_FIELD
from babyhubert.corpus.shards import Pack
from babyhubert.errors import CorpusError
from babyhubert.units.mfcc import mfcc
from babyhubert.units.phones import SILENCE, Alignment, match_recordings, read_rows

Aligner = Literal["uniform", "gaussian"]
UNKNOWN_PHONE = "?"

_SPEECH_RANGE_DB = 35.0
_ROUNDS = 10
_LEAST_VARIANCE = 0.01
_UTTERANCES_AT_ONCE = 64
_FRAMES_AT_ONCE = 40_000


@dataclass(frozen=True, eq=False)
class Utterance:
    """A recording and what is said in it.

    Attributes:
        recording: Its id.
        rows: Its segments in the pack, in order of time.
        phones: Indices of its phones, int64 (P,).
        features: Normalised MFCC of all its segments one after the other, float32 (T, 39).
        level: Power of each frame in dB, float32 (T,).
    """

    recording: str
    rows: Sequence[int]
    phones: NDArray[np.int64]
    features: NDArray[np.float32]
    level: NDArray[np.float32]


def align(pack: Pack, transcripts: Path, aligner: Aligner) -> Alignment:
    """Times of the phones of a transcript table.

    Args:
        pack: Holds the audio.
        transcripts: CSV with ``utterance_id`` (or ``recording_id``) and ``phones`` separated by blanks. Utterances
            with an unknown phone (``?``), and those with fewer frames than phones, are left out.
        aligner: See the module.

    Raises:
        AnnotationError: the table cannot be read.
        CorpusError: it does not concern this pack, or nothing can be aligned.
        MissingExtraError: kaldi-native-fbank is not installed.
    """
    texts = read_transcripts(transcripts)
    names = match_recordings(pack, texts, str(transcripts))
    inventory = (*sorted({phone for name in names.values() for phone in texts[name]} - {SILENCE}), SILENCE)
    number = {name: index for index, name in enumerate(inventory)}
    said = {recording: [number[phone] for phone in texts[name]] for recording, name in names.items()}
    utterances = [found for found in _utterances(pack, said) if len(found.features) >= len(found.phones)]
    if not utterances:
        raise CorpusError(f"{transcripts}: no utterance of it has as many frames in {pack.folder} as phones")
    silence = len(inventory) - 1
    paths = [uniform_path(found, silence) for found in utterances]
    if aligner == "gaussian":
        paths = gaussian_paths(utterances, paths, len(inventory))
    spans = (span for found, path in zip(utterances, paths, strict=True) for span in _spans(pack, found, path))
    return Alignment.from_spans((name, start, end, inventory[phone]) for name, start, end, phone in spans)


def read_transcripts(path: Path) -> dict[str, tuple[str, ...]]:
    """Phones by utterance id; utterances with an unknown phone or none at all are left out.

    Raises:
        AnnotationError: the table cannot be read, or has no such columns.
    """
    rows = read_rows(path, ("phones",))
    key = "utterance_id" if "utterance_id" in rows[0][1] else "recording_id"
    read_rows(path, (key, "phones"))
    texts = {row[key]: tuple(row["phones"].split()) for _, row in rows}
    return {name: phones for name, phones in texts.items() if phones and UNKNOWN_PHONE not in phones}


def uniform_path(utterance: Utterance, silence: int) -> NDArray[np.int64]:
    """A phone for each frame, int64 (T,): evenly over the speech, silence outside it."""
    level, count = utterance.level, len(utterance.phones)
    loud = np.flatnonzero(level > level.max() - _SPEECH_RANGE_DB)
    begin, end = int(loud[0]), int(loud[-1]) + 1
    if end - begin < count:
        begin, end = 0, len(level)
    path = np.full(len(level), silence, dtype=np.int64)
    path[begin:end] = utterance.phones[np.arange(end - begin) * count // (end - begin)]
    return path


def gaussian_paths(
    utterances: Sequence[Utterance], paths: Sequence[NDArray[np.int64]], phones: int, rounds: int = _ROUNDS
) -> list[NDArray[np.int64]]:
    """Better paths: Gaussians of the phones and best paths through them in turn.

    Args:
        utterances: What is said.
        paths: A phone for each frame to begin with.
        phones: Number of phones; the last is silence.
        rounds: How often, at most; it ends early when no frame changes.
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
    utterances: Sequence[Utterance], mean: NDArray[np.float64], variance: NDArray[np.float64]
) -> list[NDArray[np.int64]]:
    """The likeliest phone for each frame, given their order; silence, the last phone, may stand at both ends.

    Args:
        utterances: What is said; each with at least as many frames as phones.
        mean: Of each phone, (P, D).
        variance: Of each phone, (P, D).
    """
    result: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * len(utterances)
    for batch in _batches([len(found.features) for found in utterances]):
        for index, path in zip(batch, _best_paths([utterances[i] for i in batch], mean, variance), strict=True):
            result[index] = path
    return result


def _best_paths(
    batch: Sequence[Utterance], mean: NDArray[np.float64], variance: NDArray[np.float64]
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
    utterances: Sequence[Utterance], paths: Sequence[NDArray[np.int64]], phones: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of the frames on each phone, (P, D); those of all frames where a phone has none."""
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


def _utterances(pack: Pack, said: Mapping[int, Sequence[int]]) -> Iterator[Utterance]:
    rows_of: dict[int, list[int]] = {recording: [] for recording in said}
    for row in np.lexsort((pack.start, pack.recording)).tolist():
        if pack.frames[row] and (recording := int(pack.recording[row])) in rows_of:
            rows_of[recording].append(row)
    for recording, rows in rows_of.items():
        if rows:
            audio = [pack.audio(row) for row in rows]
            features = np.concatenate([mfcc(part) for part in audio])
            features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-3)
            level = np.concatenate([_level(part) for part in audio])
            phones = np.array(said[recording], dtype=np.int64)
            yield Utterance(pack.recordings[recording], rows, phones, features.astype(np.float32), level)


def _level(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power of what each frame sees, in dB, (T,)."""
    seen = np.lib.stride_tricks.sliding_window_view(audio, FRAME_RECEPTIVE_FIELD)[::FRAME_HOP]
    return 10 * np.log10(np.square(seen).mean(axis=1) + 1e-10)


def _spans(pack: Pack, utterance: Utterance, path: NDArray[np.int64]) -> Iterator[tuple[str, int, int, int]]:
    """Runs of a path as (recording id, start sample, end sample, phone), each frame centred on what it sees."""
    lead = (FRAME_RECEPTIVE_FIELD - FRAME_HOP) // 2
    done = 0
    for row in utterance.rows:
        part = path[done : done + int(pack.frames[row])]
        done += len(part)
        borders = np.flatnonzero(np.diff(part)) + 1
        begins, ends = np.concatenate([[0], borders]), np.concatenate([borders, [len(part)]])
        origin = int(pack.start[row]) + lead
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            yield utterance.recording, origin + FRAME_HOP * begin, origin + FRAME_HOP * end, int(part[begin])
