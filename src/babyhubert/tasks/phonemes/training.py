"""Training of phoneme recognition: CTC over the frames of an utterance inside a window with context.

As published for BabAR: the mean over utterances of the loss per phoneme; the score is the phoneme error rate, all
edits over all phonemes, of the best path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from babyhubert.annotation.table_columns import CHILDREN, SPEAKERS
from babyhubert.encoder.heads import PHONEMES, PhonemeHead, TaskHead
from babyhubert.errors import AnnotationError
from babyhubert.material.augmentation import Augmentation
from babyhubert.material.batch import Batch
from babyhubert.material.chat_sources import IPA_COLUMN, NO_PHONES_COLUMN
from babyhubert.material.settings import SkippedMaterial, SourceRow
from babyhubert.material.sources import column_of
from babyhubert.material.utterances import (
    EpochOrder,
    Row,
    Utterances,
    WindowBatch,
    build_store,
    equal_length_batches,
    split_rows,
)
from babyhubert.material.windows import Samples, Windows, windows_by, windows_with_context
from babyhubert.phonology.ctc import greedy
from babyhubert.phonology.edit_distance import edit_distances
from babyhubert.phonology.forced_alignment import Aligner, SpokenPhones, find_paths
from babyhubert.phonology.inventory import Inventory, read_inventory, refuse_unknown
from babyhubert.tasks.interface import Validation, identity_of
from babyhubert.tasks.phonemes.examples import NO_FRAME, Examples, joined, make_batch, masked, stretched
from babyhubert.tasks.phonemes.losses import inconsistency
from babyhubert.tasks.phonemes.settings import PhonemeSettings
from babyhubert.tasks.phonemes.windows import phoneme_window
from babyhubert.timebase import FRAME_HOP, seconds_to_samples

COLUMNS = ("phones", "phonemes")
VOICES = ("label", "speaker_type")


@dataclass(frozen=True, eq=False)
class Transcribed:
    """Utterances with their phones.

    Attributes:
        utterances: The utterances.
        phones: Outputs of all of them, one after another, int64.
        bounds: First phone of each utterance, and the end of the last, (S + 1,).
        aligned: Output of each frame of each utterance by forced alignment, int64 (T,), if requested.
    """

    utterances: Utterances
    phones: NDArray[np.int64]
    bounds: NDArray[np.int64]
    aligned: Sequence[NDArray[np.int64]] = ()

    def of(self, row: int) -> NDArray[np.int64]:
        """Return the phones of an utterance."""
        return self.phones[self.bounds[row] : self.bounds[row + 1]]


class PhonemeTask:
    """Implements :class:`~babyhubert.tasks.interface.Task`.

    Args:
        settings: Settings of the task.
        inventory: Its symbols.
        train: Training utterances.
        validation: Validation utterances.
        seed: Seed of the order of utterances.
        augmentation: Changes of training windows.
        name: Name of the task.
        seed_stream: Number of its random draws among those of other tasks.
    """

    replayable = False

    def __init__(
        self,
        settings: PhonemeSettings,
        inventory: Inventory,
        train: Transcribed,
        validation: Transcribed,
        seed: int,
        augmentation: Augmentation,
        *,
        name: str = PHONEMES,
        seed_stream: int = 4,
    ) -> None:
        self.name, self._seed_stream = name, seed_stream
        self.settings, self.inventory, self.seed, self.augmentation = settings, inventory, seed, augmentation
        self.labels = inventory.labels
        self.train, self.validation = train, validation
        self._context = seconds_to_samples(settings.context_s)
        utterances = train.utterances
        self._order = EpochOrder(utterances.windows.width, utterances.times, settings.batch_size, seed)

    @classmethod
    def prepare(
        cls,
        settings: PhonemeSettings,
        cache: Path,
        seed: int,
        left_out: SkippedMaterial,
        *,
        name: str = PHONEMES,
        seed_stream: int = 4,
    ) -> PhonemeTask:
        """Read and decode the material.

        Raises:
            AnnotationError: malformed, or phones outside the inventory.
            AudioError: a recording cannot be read.
        """
        labels = read_inventory(Path(settings.inventory)) if settings.inventory else Inventory().labels
        inventory = Inventory(labels, settings.phone_map, settings.simplify)
        train, validation = split_rows(
            settings.data,
            name,
            lambda row: _is_wanted(row, settings),
            (*CHILDREN, *SPEAKERS),
            left_out,
        )
        material = [_material(rows, settings, inventory, cache, left_out) for rows in (train, validation)]
        if settings.frame_start:
            material[0] = _align(material[0], inventory, settings.frame_aligner)
        augmentation = Augmentation.prepare(settings.augmentation, cache)
        return cls(
            settings, inventory, material[0], material[1], seed, augmentation, name=name, seed_stream=seed_stream
        )

    @property
    def batches_an_epoch(self) -> int:
        """Number of batches that contain every utterance with its copies."""
        return self._order.batches

    @property
    def seconds(self) -> float:
        """Seconds of audio in the utterances."""
        return self.train.utterances.seconds

    @property
    def summary(self) -> str:
        """One line about the material."""
        never = [symbol for k, symbol in enumerate(self.inventory.symbols) if k not in set(self.train.phones.tolist())]
        return (
            f"{len(self.train.utterances)} utterances, {self.seconds / 3600:.2f} h, {len(self.train.phones)} phones; "
            f"{len(self.validation.utterances)} for validation; {len(never)} of {len(self.inventory.symbols)} symbols "
            f"never occur{' (' + ' '.join(never) + ')' if never else ''}"
        )

    @property
    def identity(self) -> str:
        """Hash of the material."""
        return identity_of(
            *(
                values
                for part in (self.train, self.validation)
                for values in (part.utterances.start, part.utterances.end, part.utterances.store.bounds, part.phones)
            ),
            self.train.utterances.times,
        )

    def new_head(self, width: int, mixed_layers: int | None) -> PhonemeHead:
        """Two linear layers."""
        return PhonemeHead(self.labels, width, dropout=self.settings.dropout, mixed_layers=mixed_layers)

    def batch(self, number: int) -> Batch:
        """Read the batch of this number."""
        rng = np.random.default_rng([self.seed, self._seed_stream, number])
        rows = self._order.batch(number)
        moving = self._context if self.settings.window_rule == "always" else None
        read = self.train.utterances.read_warped(rows, self.augmentation, moving, rng)
        phones = [self.train.of(row) for row in rows.tolist()]
        examples = Examples(read, phones, aligned=self._aligned(number, rows, read))
        examples = self._joined(examples, number)
        share = self.settings.share_of_frames(number)
        passes = [examples.changed(self.augmentation, rng)]
        weight = self._consistency_weight(number)
        if weight is not None:
            assert self.settings.consistency is not None
            passes.append(examples.changed(self.augmentation, rng))
            passes = [masked(each, self.settings.consistency, rng) for each in passes]
        return make_batch(passes, float(len(rows)), normalise=self.settings.normalise, share=share, weight=weight)

    def _aligned(self, number: int, rows: NDArray[np.int64], read: WindowBatch) -> list[NDArray[np.int64]] | None:
        """Outputs of the frames of each utterance, while the loss is partly theirs."""
        if number >= self.settings.frame_start:
            return None
        frames = (read.stop_frame - read.first_frame).tolist()
        return [stretched(self.train.aligned[row], count) for row, count in zip(rows, frames, strict=True)]

    def _joined(self, examples: Examples, number: int) -> Examples:
        join = self.settings.join
        rng = np.random.default_rng([self.seed, self._seed_stream, number, 1])  # its own: the others stay as they were
        if join is None or rng.random() >= join.probability:
            return examples
        return joined(examples, join, self.inventory.blank, rng)

    def _consistency_weight(self, number: int) -> float | None:
        """Weight of the consistency of two passes in a batch; None: there is one pass."""
        chosen = self.settings.consistency
        if chosen is None or not chosen.weight:
            return None
        return chosen.weight * min(1.0, number / chosen.ramp if chosen.ramp else 1.0)

    def validation_batches(self, rank: int, world: int) -> Iterator[Batch]:
        """Batches that contain every validation utterance once."""
        batches = list(equal_length_batches(self.validation.utterances.windows.width, self.settings.batch_size))
        for rows in batches[rank::world]:
            read, phones = self.validation.utterances.read(rows), [self.validation.of(row) for row in rows.tolist()]
            yield make_batch([Examples(read, phones)], float(len(rows)), normalise=self.settings.normalise)

    def loss(self, head: TaskHead, features: Tensor, batch: Batch) -> Tensor:
        """Sum over utterances of the CTC loss per phoneme; in the beginning, partly the mean loss of a frame.

        Of joined utterances, each has the loss of their example. Of two passes, the mean counts, and their consistency
        is added.
        """
        scores = self._log_probabilities(head, features, batch)
        losses = self._losses(scores, batch)
        if (aligned := batch.targets.get("aligned")) is not None:
            frames = F.nll_loss(scores.transpose(1, 2), aligned, ignore_index=NO_FRAME, reduction="none").sum(dim=1)
            losses = torch.lerp(losses, frames / batch.targets["frames"], batch.targets["frame_share"])
        if (weight := batch.targets.get("consistency")) is not None:
            first, second = losses.chunk(2)
            counts = batch.targets["phone_counts"].chunk(2)[0].clamp(min=1)
            losses = (first + second) / 2 + weight * inconsistency(scores, batch.targets["frames"]) / counts
        if (parts := batch.targets.get("parts")) is not None:
            losses = losses * parts
        return losses.sum()

    def tally(self, head: TaskHead, features: Tensor, batch: Batch) -> NDArray[np.float64]:
        """Loss, utterances, phonemes, edits, predicted phonemes."""
        scores = self._log_probabilities(head, features, batch)
        losses = self._losses(scores, batch)
        own = zip(scores.double().cpu().numpy(), batch.targets["frames"].tolist(), strict=True)
        found = [greedy(rows[:frames], self.inventory.blank).ids for rows, frames in own]
        counts = batch.targets["phone_counts"].tolist()
        truth = np.split(batch.targets["phones"].cpu().numpy(), np.cumsum(counts)[:-1])
        edits = edit_distances(truth, found, len(self.labels)).sum()
        return np.array([losses.sum().item(), len(counts), sum(counts), edits, sum(map(len, found))], dtype=float)

    def conclude(self, tally: NDArray[np.float64]) -> Validation:
        """Phoneme error rate, and the number of predicted phonemes per reference phoneme."""
        loss, utterances, phones, edits, found = tally.tolist()
        rate = edits / max(phones, 1)
        return Validation(1 - rate, loss / utterances, {"per": rate, "found_per_phoneme": found / max(phones, 1)})

    def card(self) -> dict[str, Any]:
        """Context and normalisation, as inference must repeat them."""
        settings = self.settings
        return {
            "context_s": settings.context_s,
            "normalise": settings.normalise,
            "window_rule": settings.window_rule,
            "phone_map": dict(settings.phone_map),
            "simplify": settings.simplify,
            **({"voices": list(settings.input_voices)} if settings.input_voices else {}),
        }

    def _log_probabilities(self, head: TaskHead, features: Tensor, batch: Batch) -> Tensor:
        """Log probabilities of the utterances' own frames, (B, longest, C); rows repeat their last frame after their
        end.
        """
        first, frames = batch.targets["first"], batch.targets["frames"]
        steps = torch.arange(int(frames.max()), device=features.device)
        at = first[:, None] + torch.minimum(steps, frames[:, None] - 1)
        own = torch.gather(features, 1, at[:, :, None].expand(-1, -1, features.shape[-1]))
        return torch.log_softmax(head(own).float(), dim=-1)

    def _losses(self, scores: Tensor, batch: Batch) -> Tensor:
        counts = batch.targets["phone_counts"]
        losses = F.ctc_loss(
            scores.transpose(0, 1),
            batch.targets["phones"],
            batch.targets["frames"],
            counts,
            blank=self.inventory.blank,
            reduction="none",
        )
        return losses / counts.clamp(min=1)


def _is_wanted(row: SourceRow, settings: PhonemeSettings) -> bool:
    voice = next((row.fields[name] for name in VOICES if name in row.fields), None)
    voices = settings.voices or (("KCHI",) if IPA_COLUMN in row.fields else ())
    return voice is None or not voices or voice in voices


def _align(material: Transcribed, inventory: Inventory, aligner: Aligner) -> Transcribed:
    """Add a forced alignment of each utterance, without its context."""
    utterances = material.utterances
    places = zip(utterances.recording.tolist(), utterances.start.tolist(), utterances.end.tolist(), strict=True)
    spoken = [
        SpokenPhones.from_audio([utterances.store.read(*place)], material.of(row)) for row, place in enumerate(places)
    ]
    return replace(material, aligned=find_paths(spoken, aligner, silence=inventory.blank))


def _transcription(row: Row, names: Sequence[str], inventory: Inventory) -> str:
    words = row.row.fields.get(IPA_COLUMN)
    return column_of(row.row.fields, names, row.name) if words is None else inventory.split(words)


def _material(
    rows: Sequence[Row], settings: PhonemeSettings, inventory: Inventory, cache: Path, left_out: SkippedMaterial
) -> Transcribed:
    names = (settings.column,) if settings.column else COLUMNS
    known: list[Row] = []
    encoded: list[list[int]] = []
    unknown: dict[str, int] = {}
    first_unknown = ""
    for row in rows:
        text = _transcription(row, names, inventory)
        outputs = inventory.encode(text)
        if not text.strip():
            left_out.add(row.row.fields.get(NO_PHONES_COLUMN, "no phones given"), row.name)
        elif settings.unknown and settings.unknown in text.split():
            left_out.add(f"a phone is not known ({settings.unknown})", row.name)
        elif isinstance(outputs, tuple):
            first_unknown = first_unknown or row.name
            for symbol in outputs:
                unknown[symbol] = unknown.get(symbol, 0) + 1
        elif not outputs:
            left_out.add("all its phones are mapped to nothing", row.name)
        else:
            known.append(row)
            encoded.append(outputs)
    refuse_unknown(unknown, inventory.labels, first_unknown)
    if not known:
        raise AnnotationError(f"no utterance with phones is left ({left_out})")
    return _placed(known, encoded, settings, cache, left_out)


def _placed(
    rows: Sequence[Row],
    encoded: Sequence[list[int]],
    settings: PhonemeSettings,
    cache: Path,
    left_out: SkippedMaterial,
) -> Transcribed:
    context = seconds_to_samples(settings.context_s)

    def place(start: Samples, end: Samples, length: Samples) -> Windows:
        if settings.window_rule == "published":
            return windows_by(phoneme_window, start, end, length, context)
        return windows_with_context(start, end, length, context)

    utterances = Utterances.place(rows, build_store(rows, cache), place)
    duration = utterances.end - utterances.start
    counts = np.array([len(outputs) for outputs in encoded])
    short = duration <= seconds_to_samples(settings.shortest_s)
    long = duration > seconds_to_samples(settings.longest_s)
    crowded = duration // FRAME_HOP <= settings.frames_per_phone * counts
    for reason, those in (
        (f"not longer than {settings.shortest_s:g} s", short),
        (f"longer than {settings.longest_s:g} s", long),
        (f"not more than {settings.frames_per_phone:g} frames a phone", crowded & ~short & ~long),
    ):
        for row in np.flatnonzero(those).tolist():
            left_out.add(reason, rows[row].name)
    keep = ~(short | long | crowded)
    if not keep.any():
        raise AnnotationError(f"no utterance with phones is left ({left_out})")
    kept = [outputs for outputs, fits in zip(encoded, keep, strict=True) if fits]
    bounds = np.concatenate([[0], np.cumsum([len(outputs) for outputs in kept])])
    return Transcribed(utterances.where(keep), np.concatenate([np.array(own) for own in kept]), bounds)
