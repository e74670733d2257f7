"""Settings of phoneme training: ``[phonemes]``, and ``[task.NAME]`` of the kind ``ctc``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from babyhubert.config import Config
from babyhubert.encoder.heads import PHONEME_HEAD_DROPOUT
from babyhubert.material.augmentation import AugmentationSettings, Probability
from babyhubert.material.settings import DataSettings
from babyhubert.material.windows import WindowRule
from babyhubert.phonology.forced_alignment import Aligner


class ConsistencySettings(Config):
    """``[phonemes.consistency]``: consistency-regularised CTC (Yao et al. 2024, arXiv:2410.05101).

    Every utterance of a batch is passed twice, with the same times and pitch but other noise, rooms, levels, masks and
    dropout. The loss is the mean of both CTC losses plus ``weight`` times the symmetric Kullback-Leibler divergence of
    their outputs, summed over frames and divided by phones as the CTC loss is; each pass learns from the other's
    outputs as they are (no gradient through the target).

    Attributes:
        weight: Its weight; 0: one pass, as without this table.
        ramp: Batches, counted over all processes, within which the weight rises from 0 in a line.
        masks: Most stretches of an utterance that are silenced in each pass, a number drawn for each.
        mask_s: Longest of them, in seconds.
    """

    weight: Annotated[float, Field(ge=0)] = 0.2
    ramp: Annotated[int, Field(ge=0)] = 0
    masks: Annotated[int, Field(ge=0)] = 2
    mask_s: Annotated[float, Field(gt=0)] = 0.2


class JoinSettings(Config):
    """``[phonemes.join]``: utterances of a batch joined into longer training examples, with their phones.

    They are joined without their context, in random order, with silence between. The batch holds the same utterances,
    and each counts as much as before.

    Attributes:
        probability: Share of the batches that are joined; 0: none, as without this table.
        most: Most utterances in one example; the number is drawn from 2.
        longest_s: Longest example, in seconds.
        gap_s: Longest silence between two utterances, in seconds; the shortest is 0.015 s.
    """

    probability: Probability = 0.5
    most: Annotated[int, Field(ge=2)] = 8
    longest_s: Annotated[float, Field(gt=0)] = 15.0
    gap_s: Annotated[float, Field(ge=0)] = 0.2


class PhonemeSettings(Config):
    """``[phonemes]``.

    Attributes:
        kind: ``ctc``.
        data: Utterances with their phones: a table with a column ``phones`` or ``phonemes``, symbols separated by
            spaces (``|`` between words is ignored); or CHAT transcripts, whose words are split.
        column: Another column with phones.
        voices: Values of ``label`` or ``speaker_type`` to use, if there is such a column; if empty all, or for CHAT
            transcripts the target child.
        inventory: File with the symbols; the 57 published ones if absent.
        phone_map: Mapping of other symbols: ``"tʃ" = "t ʃ"``; ``""`` for nothing.
        simplify: Split other symbols and drop their marks, if the result is in the inventory.
        unknown: Symbol of an unknown phone; utterances with one are skipped.
        context_s: Length of the window around an utterance; 0: the utterance alone.
        window_rule: ``always``: windows are moved to stay inside the recording; ``published``: they are cut there.
        normalise: Normalise each window to zero mean and unit variance, as published for BabAR.
        shortest_s: Shorter utterances are skipped.
        longest_s: Longer utterances are skipped.
        frames_per_phone: Utterances with at most this number of frames per phone are skipped, since CTC needs more.
        batch_size: Utterances of one process in one batch.
        frame_start: Within this number of batches, counted over all processes, the loss changes gradually from that of
            frames, whose phones are known from a forced alignment (blank in silence), to CTC. Sak et al. 2015 begin
            with frames too. With only hours of speech, CTC alone predicts blanks for thousands of steps.
        frames_alone: Within this number of batches, the first of these, the loss is that of frames alone. CTC's is
            several times larger, so that without them a new head may learn blanks at once.
        frame_aligner: Method of estimating those times, see :mod:`babyhubert.phonology.forced_alignment`.
        dropout: Dropout inside the head.
        augmentation: Changes of training windows.
        consistency: Agreement of two passes over every utterance, an addition to the loss.
        join: Joining of utterances into one training example.
        loss_weight: Weight of this task's loss in a training of several tasks.
    """

    kind: Literal["ctc"] = "ctc"
    data: DataSettings
    column: str | None = None
    voices: Sequence[str] = ()
    inventory: str | None = None
    phone_map: Mapping[str, str] = Field(default_factory=dict)
    simplify: bool = False
    unknown: str = "?"
    context_s: Annotated[float, Field(ge=0)] = 20.0
    window_rule: WindowRule = "always"
    normalise: bool = False
    shortest_s: Annotated[float, Field(ge=0)] = 0.05
    longest_s: Annotated[float, Field(gt=0)] = 30.0
    frames_per_phone: Annotated[float, Field(ge=1)] = 3.0
    batch_size: Annotated[int, Field(ge=1)] = 16
    frame_start: Annotated[int, Field(ge=0)] = 0
    frames_alone: Annotated[int, Field(ge=0)] = 0
    frame_aligner: Aligner = "gaussian"
    dropout: Annotated[float, Field(ge=0, lt=1)] = PHONEME_HEAD_DROPOUT
    augmentation: AugmentationSettings = AugmentationSettings()
    consistency: ConsistencySettings | None = None
    join: JoinSettings | None = None
    loss_weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _frames_come_first(self) -> Self:
        if self.frames_alone > self.frame_start:
            raise ValueError(
                f"frames_alone is {self.frames_alone}: at most frame_start, which is {self.frame_start} (the batches "
                "after which the loss is CTC's alone)"
            )
        return self

    def share_of_frames(self, batch: int) -> float | None:
        """Share of the loss of frames in the batch of this number, from 0; None: the loss is CTC's alone."""
        if batch >= self.frame_start:
            return None
        return 1 - max(batch - self.frames_alone, 0) / (self.frame_start - self.frames_alone or 1)

    @property
    def input_voices(self) -> tuple[str, ...]:
        """Labels of the segments that a trained model applies to, if not those of the published task."""
        return ()


class CtcSettings(PhonemeSettings):
    """``[task.NAME]`` with ``kind = "ctc"``: as ``[phonemes]``, with an inventory of its own.

    Attributes:
        inventory: File with the symbols.
    """

    inventory: str

    @property
    def input_voices(self) -> tuple[str, ...]:
        """Labels that it was trained on; empty: all."""
        return tuple(self.voices)
