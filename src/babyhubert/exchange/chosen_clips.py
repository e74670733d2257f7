"""The clips of a recording that the settings ask for: their method, their number, and how each was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.codes import TierNaming
from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.audio.channels import Channel
from babyhubert.audio.recording import probe
from babyhubert.errors import AnnotationError, BabyHubertError, ConfigError
from babyhubert.exchange.clip_choice import (
    FAIR_METHODS,
    ClipMethod,
    best_starts,
    candidate_starts,
    clips_that_fit,
    doubt_within,
    periodic_starts,
    random_starts,
    recording_generator,
    speech_within,
)
from babyhubert.exchange.recordings import AnnotatedRecording, Failure, Source
from babyhubert.exchange.strata import Draw, draw
from babyhubert.frame_store import open_frames
from babyhubert.timebase import SAMPLES_PER_MS, ms_to_samples

ANY_VOICE = "any"


@dataclass(frozen=True)
class ClipSettings:
    """Settings of choosing and writing clips.

    Attributes:
        method: See :mod:`babyhubert.exchange.clip_choice`.
        clips: Number per recording, fewer if they do not fit.
        length_ms: Length of the stretch to annotate.
        context_ms: Sound before and after it in the clip, for context.
        seed: Seed of random choices.
        voice: For ``high-volubility`` and ``stratified``: a label, or ``any``.
        format: Kind of the annotation file.
        blank: Leave its tiers empty instead of filling in the source's segments.
        naming: Names of its tiers.
        channel: Choice among several channels.
    """

    method: ClipMethod = "random"
    clips: int = 5
    length_ms: int = 60_000
    context_ms: int = 0
    seed: int = 0
    voice: str = "KCHI"
    format: str = "eaf"
    blank: bool = False
    naming: TierNaming = "aclew"
    channel: Channel = "mean"

    @property
    def length_samples(self) -> int:
        """Length of the stretch to annotate in samples."""
        return ms_to_samples(self.length_ms)


def draw_strata(source: Source, settings: ClipSettings) -> Draw:
    """Draw clips from strata of all recordings of a source whose length, and audio if it is there, is known.

    Raises:
        ConfigError: no recording is as long as a clip.
    """
    label = None if settings.voice == ANY_VOICE else settings.voice

    def known() -> Iterator[tuple[str, int, NDArray[np.int64]]]:
        for one in source.recordings():
            samples = None if isinstance(one, Failure) else length_of(one)
            if samples is not None and isinstance(one, AnnotatedRecording):
                spoken = one.segments if label is None else one.segments.of(label)
                yield one.recording_id, samples // SAMPLES_PER_MS, spoken.start

    return draw(known(), settings.length_ms, settings.clips, settings.seed)


def length_of(recording: AnnotatedRecording) -> int | None:
    """Samples of a recording from which clips can be cut; None if its audio cannot be opened."""
    try:
        return None if recording.audio is None else probe(recording.audio).n_samples
    except BabyHubertError:
        return None


def choose(recording: AnnotatedRecording, duration_ms: int, settings: ClipSettings) -> list[tuple[int, float | None]]:
    """First millisecond of each clip of a recording, and its worth (seconds of speech, bits of entropy).

    Raises:
        AnnotationError: low-confidence clips of a recording without stored frame scores.
        ConfigError: the method chooses from all recordings together.
    """
    length = settings.length_ms
    count = clips_that_fit(duration_ms, length, settings.clips)
    if not count:
        return []
    rng = recording_generator(settings.seed, recording.recording_id)
    match settings.method:
        case "random":
            return [(int(start), None) for start in random_starts(duration_ms, length, count, rng)]
        case "periodic":
            return [(int(start), None) for start in periodic_starts(duration_ms, length, count, rng)]
        case "high-volubility":
            starts = candidate_starts(duration_ms, length)
            label = None if settings.voice == ANY_VOICE else settings.voice
            worth = speech_within(recording.segments.intervals(label), starts, length)
        case "low-confidence":
            starts = candidate_starts(duration_ms, length)
            worth = doubt_within(_scores(recording), starts, length)
        case _:
            raise ConfigError(f"clips by method {settings.method} are drawn from all recordings together")
    return [(start, value) for start, value in best_starts(starts, worth, length, count)]


def chosen_clips(
    recording: AnnotatedRecording, duration_ms: int, settings: ClipSettings, drawn: Draw | None
) -> list[tuple[int, dict[str, Any]]]:
    """First millisecond of each clip of a recording, and how it was chosen."""
    if drawn is not None:
        return [
            (start, {"stratum": stratum, "inclusion": f"{drawn.strata[stratum].inclusion:.6g}"})
            for start, stratum in drawn.clips.get(recording.recording_id, ())
        ]
    chosen = choose(recording, duration_ms, settings)
    if settings.method in FAIR_METHODS:
        inclusion = f"{len(chosen) * settings.length_ms / max(duration_ms, 1):.6g}"
        return [(start, {"inclusion": inclusion}) for start, _ in chosen]
    return [(start, {"worth": f"{worth:.4f}"}) for start, worth in chosen]


def _scores(recording: AnnotatedRecording) -> NDArray[np.float16]:
    if recording.scores is None:
        raise AnnotationError(
            f"{recording.recording_id}: no frame scores were kept, or they are damaged; low-confidence clips need the "
            "output folder of 'babyhubert segment' (run it again)"
        )
    try:
        scores: NDArray[np.float16] = open_frames(recording.scores)
    except (OSError, ValueError, EOFError) as error:
        raise AnnotationError(f"{recording.scores}: damaged frame scores ({error}); run 'segment' again") from error
    return scores


def why_fewer(duration_ms: int, settings: ClipSettings) -> str:
    """Reason why a recording has fewer clips than were requested."""
    room = duration_ms // settings.length_ms
    if room < settings.clips:
        return f"{duration_ms / 1000:.1f} s have no room for more of {settings.length_ms / 1000:g} s"
    if settings.method == "high-volubility" and settings.voice in (ANY_VOICE, *VOICE_TYPES):
        return f"no more {settings.voice} speech"
    return "what is left between those chosen is shorter, or worth nothing"
