"""``babyhubert simulate``: scenes with RTTM, addressee and phoneme ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from babyhubert.cli.groups import option_groups
from babyhubert.cli.messages import say
from babyhubert.errors import counted

if TYPE_CHECKING:
    from babyhubert.simulation.scene import SceneConfig
    from babyhubert.simulation.utterance_table import Casting


@dataclass(frozen=True, kw_only=True)
class Voices:
    """Speakers of the scenes."""

    utterances: Annotated[
        Path | None,
        typer.Option(
            help="CSV of recorded utterances (columns path, speaker_id, voice [CHI, TEEN, FEM, MAL], duration_s, "
            "phones). Default: synthetic voices.",
            metavar="CSV",
            show_default=False,
        ),
    ] = None
    only_speakers: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV whose column speaker_id lists the speakers to use (may be repeated).",
            metavar="CSV",
            show_default=False,
        ),
    ] = None
    without_speakers: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV whose column speaker_id lists speakers to exclude, such as those of a test set (may be "
            "repeated).",
            metavar="CSV",
            show_default=False,
        ),
    ] = None
    voice_change: Annotated[
        float,
        typer.Option(
            help="Speakers are made faster and higher, or slower and lower, by up to this fraction, 0 to 0.5: "
            "few speakers give many voices."
        ),
    ] = 0.0
    key_voice_change: Annotated[
        float,
        typer.Option(help="The same for the key child, which is then recognised less by pitch than by being close."),
    ] = 0.0
    resonance_change: Annotated[
        float,
        typer.Option(
            help="Resonances of all speakers are moved by up to this fraction, 0 to 0.5, independently of "
            "pitch: longer and shorter vocal tracts."
        ),
    ] = 0.0
    whisper_share: Annotated[float, typer.Option(help="Share of the turns that are whispered, 0 to 1.")] = 0.0
    wearer_share: Annotated[
        float,
        typer.Option(
            help="Share of recordings in which a speaker of any age takes the part of the key child, 0 to 1."
        ),
    ] = 0.0
    cries: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recorded cries, or folders of them, that replace some turns of the key child (may be repeated).",
            metavar="PATH",
            show_default=False,
        ),
    ] = None
    cry_share: Annotated[float, typer.Option(help="Share of the key child's turns that cries replace.")] = 0.15

    def casting(self) -> Casting:
        """The choice of speakers, their tables and cries read."""
        from babyhubert.annotation.text import read_speaker_ids
        from babyhubert.audio.discovery import discover
        from babyhubert.simulation.utterance_table import Casting, SpeakerChoice

        speakers = SpeakerChoice(
            frozenset().union(*map(read_speaker_ids, self.only_speakers)) if self.only_speakers else None,
            frozenset().union(*map(read_speaker_ids, self.without_speakers or ())),
        )
        return Casting(
            speakers,
            self.voice_change,
            self.key_voice_change,
            self.resonance_change,
            self.whisper_share,
            self.wearer_share,
            cries=tuple(file.path for file in discover(self.cries or ())),
            cry_share=self.cry_share,
        )


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Shares of time and sounds of a scene."""

    speech_share: Annotated[float, typer.Option(help="Share of the time with labelled speech, above 0 to 0.6.")] = 0.25
    television_share: Annotated[
        float, typer.Option(help="Share of the time with a television on, which carries no label, 0 to 1.")
    ] = 0.05
    knocks: Annotated[float, typer.Option(help="Knocks and bangs per minute.")] = 2.0
    noises: Annotated[float, typer.Option(help="Noises per minute that come and go within seconds.")] = 1.0
    clipping_share: Annotated[
        float, typer.Option(help="Share of the key child's turns that overload the microphone, 0 to 1.")
    ] = 0.0
    levels: Annotated[
        str,
        typer.Option(
            help="Level and distance of speakers. typical: adults always further away than the key child; "
            "independent: adults anywhere, also at the microphone."
        ),
    ] = "typical"
    monologue_share: Annotated[
        float, typer.Option(help="Share of the exchanges in which one adult speaks alone for some turns, 0 to 1.")
    ] = 0.0
    backgrounds: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recordings without speech, or folders of them, as background without a label (may be repeated).",
            metavar="PATH",
            show_default=False,
        ),
    ] = None
    backgrounds_per_minute: Annotated[float, typer.Option(help="Number of them that begin per minute.")] = 2.0

    def config(self, minutes: float) -> SceneConfig:
        """Settings of a scene of so many minutes, its background recordings found."""
        from babyhubert.audio.discovery import discover
        from babyhubert.simulation.scene import Levels, SceneConfig

        return SceneConfig(
            minutes=minutes,
            speech_share=self.speech_share,
            television_share=self.television_share,
            knocks_per_minute=self.knocks,
            noises_per_minute=self.noises,
            clipping_share=self.clipping_share,
            levels=cast("Levels", self.levels),
            monologue_share=self.monologue_share,
            backgrounds=tuple(str(file.path) for file in discover(self.backgrounds or ())),
            backgrounds_per_minute=self.backgrounds_per_minute,
        )


@option_groups
def simulate(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder for the recordings and their ground truth.", show_default=False),
    ],
    minutes: Annotated[float, typer.Option(help="Length of each recording, in minutes.")] = 5.0,
    recordings: Annotated[int, typer.Option(help="Number of recordings.", min=1)] = 4,
    seed: Annotated[
        int, typer.Option(help="Seed of everything: the same seed gives the same files.", min=0, max=2**63 - 1)
    ] = 0,
    *,
    voices: Voices,
    scene: Scene,
    prefix: Annotated[str, typer.Option(help="Recordings are named PREFIX_000, PREFIX_001 ...")] = "scene",
    audio_format: Annotated[str, typer.Option("--format", help="wav (16 bits) or flac.")] = "wav",
) -> None:
    """Make child-centred recordings with exact ground truth.

    Writes audio/, rttm/, segments.csv (with speaker and addressee), phonemes.csv, recordings.csv and simulation.json.
    """
    from babyhubert.cli.progress import RunProgressDisplay
    from babyhubert.simulation.writer import write_scenes

    casting, config = voices.casting(), scene.config(minutes)
    with RunProgressDisplay("simulate") as display:
        display.start(recordings, recordings * config.samples, 0)
        ids = write_scenes(
            output,
            recordings=recordings,
            minutes=minutes,
            seed=seed,
            utterances=voices.utterances,
            casting=casting,
            prefix=prefix,
            progress=display.advance,
            finished=lambda recording_id: display.done(recording_id, None),
            config=config,
            audio_format=audio_format,
        )
    say(f"{counted(len(ids), 'recording')} of {minutes:g} min with their truth: {output}")
