"""Child-centred scenes as a stream: speakers who take turns, household noise, and segments exact to the sample.

The key child wears the recorder: close, loud and dry. Others are further away: quieter and reverberant. People talk in
exchanges (with the key child, with another child, among adults), whose kind is the true addressee of the adults'
turns; between exchanges there is no speech, as in most of a real day. A television may talk: speech without a label. A
scene is a recipe: it draws everything from seeds fixed at the start, so it can be generated again, block by block, in
the memory of one chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.audio.acoustics import band, convolve, decibels, room_response
from babyhubert.errors import ConfigError
from babyhubert.simulation.backgrounds import recorded_backgrounds
from babyhubert.simulation.noise import CHUNK, Sound, knocks, passing_noises, room_tone
from babyhubert.simulation.utterances import Cast, Speaker, Utterance, Voices
from babyhubert.timebase import SAMPLE_RATE, SAMPLES_PER_MS, seconds_to_samples

LONGEST_MINUTES = 36 * 60
"""Longest scene: a 16-bit WAV file holds 37 hours."""

T = TypeVar("T")

Levels = Literal["typical", "independent"]
"""Rules for the level and distance of speakers.

``typical``: typical of their class, adults always further away than the key child. ``independent``: adults anywhere
from the microphone to another room, loudness and distance drawn independently, every speaker sometimes loud or quiet;
only children keep their order, since the key child wears the recorder.
"""

_LEVELS = MappingProxyType({"KCHI": -19.5, "OCH": -29.5, "FEM": -30.5, "MAL": -28.0})
_LOUDEST_PEAK, _LOUDEST_KEY_PEAK = 0.3, 0.55  # two voices at once, the most there are, do not clip
_OVERLOAD_DB = 22.0
_WIDE_SPREAD_DB = 4.0
_ADULT_DBFS = (-36.0, -11.0)
_SHARES = (
    "overlap_share",
    "talking_over_share",
    "interjection_share",
    "television_share",
    "clipping_share",
    "monologue_share",
)
_LOUDEST_ROOM_DBFS = -30.0
_TELEVISION_DBFS = -46.0


@dataclass(frozen=True)
class SceneConfig:
    """Settings of a scene.

    Attributes:
        minutes: Length.
        speech_share: Fraction of the time with labelled speech, above 0 and at most 0.6.
        overlap_share: Chance that a turn starts before the one it answers has ended; two in five do between adults
            (Heldner & Edlund 2010).
        talking_over_share: Share of these that talk over up to 1.2 s of the other's turn; the rest are early by some
            tenths of a second.
        interjection_share: Chance that a child who is not part of an exchange calls in between two turns.
        television_share: Share of the time that a television talks, unlabelled.
        knocks_per_minute: Rate of taps and bangs.
        noises_per_minute: Rate of noises that come and go within seconds: water, a vacuum cleaner, a passing car.
        clipping_share: Chance that a turn of the key child overloads the microphone; at 0 voices never clip.
        quietest_room_dbfs: Lower end of the room's noise level, RMS dB of full scale.
        loudest_room_dbfs: Upper end.
        levels_dbfs: Typical level of each class while speaking, RMS dB of full scale.
        levels: Rule for levels and distances, see :data:`Levels`; ``independent`` uses ``levels_dbfs`` of KCHI alone.
        monologue_share: Share of the exchanges in which one adult speaks alone for several turns: on the telephone, to
            a meeting, reading aloud.
        backgrounds: Recordings without speech; stretches of them are added at any level.
        backgrounds_per_minute: Rate of them.
    """

    minutes: float = 5.0
    speech_share: float = 0.25
    overlap_share: float = 0.35
    talking_over_share: float = 0.3
    interjection_share: float = 0.08
    television_share: float = 0.05
    knocks_per_minute: float = 2.0
    noises_per_minute: float = 1.0
    clipping_share: float = 0.0
    quietest_room_dbfs: float = -60.0
    loudest_room_dbfs: float = -39.0
    levels_dbfs: Mapping[str, float] = field(default_factory=lambda: dict(_LEVELS))
    levels: Levels = "typical"
    monologue_share: float = 0.0
    backgrounds: tuple[str, ...] = ()
    backgrounds_per_minute: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.minutes <= LONGEST_MINUTES:
            raise ConfigError(f"minutes = {self.minutes}: above 0 and at most {LONGEST_MINUTES} (36 hours)")
        if not 0 < self.speech_share <= 0.6:
            raise ConfigError(
                f"speech_share = {self.speech_share}: above 0 and at most 0.6 (people pause and breathe)"
            )
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: a share lies between 0 and 1")
        if self.levels not in get_args(Levels):
            raise ConfigError(f"levels = {self.levels!r}: one of {', '.join(get_args(Levels))}")
        for name in ("knocks_per_minute", "noises_per_minute", "backgrounds_per_minute"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: not negative")
        if not self.quietest_room_dbfs <= self.loudest_room_dbfs <= _LOUDEST_ROOM_DBFS:
            raise ConfigError(
                f"room noise from {self.quietest_room_dbfs} to {self.loudest_room_dbfs} dBFS: "
                f"the first may not exceed the second, nor the second {_LOUDEST_ROOM_DBFS:g}"
            )
        if missing := set(_LEVELS) - set(self.levels_dbfs):
            raise ConfigError(f"levels_dbfs lacks {', '.join(sorted(missing))}")

    @property
    def samples(self) -> int:
        """Length in samples at 16 kHz."""
        return seconds_to_samples(self.minutes * 60)


@dataclass(frozen=True, eq=False)
class Turn:
    """An utterance at its position.

    Attributes:
        start: First sample of the utterance in the scene, a whole millisecond.
        label: KCHI, OCH, FEM or MAL.
        speaker_id: Name of the speaker.
        addressee: KCDS, OCDS or ADS for adults; empty for children.
        utterance: Clean utterance.
        waveform: Signal at the microphone, float32, shape (N + reverberation,).
    """

    start: int
    label: str
    speaker_id: str
    addressee: str
    utterance: Utterance
    waveform: NDArray[np.float32]

    @property
    def vocalisation(self) -> str:
        """Manner of a child's vocalisation (``speech_like``, ``cry``, ``other``); empty for adults."""
        return "" if self.addressee else self.utterance.manner

    @property
    def end(self) -> int:
        """Sample after the last of the clean utterance."""
        return self.start + len(self.utterance.waveform)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Stretches in which the turn sounds, in samples of the scene."""
        start, end = self.utterance.spans
        return [(self.start + int(a), self.start + int(b)) for a, b in zip(start, end, strict=True)]


class Block(NamedTuple):
    """A stretch of a scene: float32 samples within [-1, 1], and the turns that start in it."""

    waveform: NDArray[np.float32]
    turns: list[Turn]


class Seeds(NamedTuple):
    """Seeds of the parts of a scene."""

    conversation: int
    room: int
    knocks: int
    television: int
    noises: int
    backgrounds: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A recording that can be generated repeatedly, always the same."""

    config: SceneConfig
    cast: Cast
    seeds: Seeds

    def __len__(self) -> int:
        return self.config.samples

    def turns(self) -> Iterator[Turn]:
        """Turns in order of their start; all end within the scene."""
        return _conversation(self.cast, self.config, np.random.default_rng(self.seeds.conversation))

    def blocks(self, block_samples: int = CHUNK) -> Iterator[Block]:
        """The scene in blocks of ``block_samples`` (the last may be shorter), the same sound for every size.

        Memory holds one chunk of 10 s, one block, and the current utterances.
        """
        if block_samples < 1:
            raise ValueError(f"block_samples = {block_samples}: at least one")
        waiting: list[NDArray[np.float32]] = []
        turns: list[Turn] = []
        held = done = 0
        for chunk in self._chunks():
            waiting.append(chunk.waveform)
            turns += chunk.turns
            held += len(chunk.waveform)
            if held < block_samples and done + held < len(self):
                continue
            joined, at = np.concatenate(waiting), 0
            while held >= block_samples or (held and done + held == len(self)):
                size = min(block_samples, held)
                done, at, held = done + size, at + size, held - size
                yield Block(joined[at - size : at], [turn for turn in turns if turn.start < done])
                turns = [turn for turn in turns if turn.start >= done]
            waiting = [joined[at:]]

    def render(self) -> Block:
        """Render the complete scene at once: for short ones."""
        blocks = list(self.blocks())
        return Block(np.concatenate([b.waveform for b in blocks]), [turn for b in blocks for turn in b.turns])

    def segments(self) -> Segments:
        """Ground truth as a segments table with the columns ``speaker_id``, ``addressee`` and ``vocalisation``."""
        return turns_to_segments(self.turns())

    def _chunks(self) -> Iterator[Block]:
        tone = room_tone(
            self.config.quietest_room_dbfs, self.config.loudest_room_dbfs, np.random.default_rng(self.seeds.room)
        )
        turns = _Queue((turn.start, turn) for turn in self.turns())
        others = (
            knocks(self.config.knocks_per_minute, np.random.default_rng(self.seeds.knocks)),
            _television(
                self.cast.television, self.config.television_share, np.random.default_rng(self.seeds.television)
            ),
            passing_noises(
                self.config.noises_per_minute,
                self.config.quietest_room_dbfs,
                self.config.loudest_room_dbfs,
                np.random.default_rng(self.seeds.noises),
            ),
            recorded_backgrounds(
                self.config.backgrounds,
                self.config.backgrounds_per_minute,
                np.random.default_rng(self.seeds.backgrounds),
            ),
        )
        background = [_Queue((sound[0], sound) for sound in sounds) for sounds in others]
        sounding: list[Sound] = []
        for first in range(0, len(self), CHUNK):
            last = min(first + CHUNK, len(self))
            new = turns.before(last)
            sounding += [(turn.start, turn.waveform) for turn in new]
            sounding += chain.from_iterable(queue.before(last) for queue in background)
            mixed = next(tone)[: last - first]
            sounding = [sound for sound in sounding if _mix(sound, mixed, first)]
            yield Block(np.clip(mixed, -1.0, 1.0), new)


def simulate_scene(config: SceneConfig, voices: Voices, rng: np.random.Generator, index: int = 0) -> Scene:
    """Draw a scene: its speakers and all its events.

    Args:
        config: Settings of the scene.
        voices: Source of its speakers.
        rng: Source of randomness.
        index: Number of the recording in the data set; other numbers have other speakers.
    """
    cast = voices.cast(index, rng)
    return Scene(config, cast, Seeds(*rng.integers(2**63, size=len(Seeds._fields)).tolist()))


def turns_to_segments(turns: Iterator[Turn] | list[Turn]) -> Segments:
    """Segments with the columns ``speaker_id``, ``addressee`` (of adults) and ``vocalisation`` (of children).

    A turn with a long pause gives several.
    """
    rows = [
        (*span, turn.label, turn.speaker_id, turn.addressee, turn.vocalisation)
        for turn in turns
        for span in turn.spans
    ]
    if not rows:
        return Segments.empty()
    start, end, label, *further = zip(*rows, strict=True)
    names = ("speaker_id", "addressee", "vocalisation")
    columns = {name: np.array(values, dtype=object) for name, values in zip(names, further, strict=True)}
    return Segments(np.array(start), np.array(end), np.array(label, dtype=object), columns)


class _Queue(Generic[T]):
    """Iterator with a look-ahead of one over events in order of time."""

    def __init__(self, things: Iterator[tuple[int, T]]) -> None:
        self._things = things
        self._next = next(things, None)

    def before(self, sample: int) -> list[T]:
        """Events not yet taken that start before ``sample``."""
        taken = []
        while self._next is not None and self._next[0] < sample:
            taken.append(self._next[1])
            self._next = next(self._things, None)
        return taken


def _mix(sound: Sound, chunk: NDArray[np.float32], first: int) -> bool:
    """Add the part of a sound within a chunk that begins at ``first``; True if more of it follows."""
    start, waveform = sound
    begin, end = max(start, first), min(start + len(waveform), first + len(chunk))
    if end > begin:
        chunk[begin - first : end - first] += waveform[begin - start : end - start]
    return start + len(waveform) > first + len(chunk)


@dataclass(frozen=True, eq=False)
class _Person:
    """A speaker with a class, a position in the room and a level there."""

    speaker: Speaker
    label: str
    level_dbfs: float
    response: NDArray[np.float32] | None
    level_spread_db: float = 2.0
    loudest_peak: float = _LOUDEST_PEAK

    def turn(self, kind: str, config: SceneConfig, rng: np.random.Generator) -> Turn:
        """Produce a turn, without a time."""
        utterance = self.speaker.utter(rng, to_child=kind == "KCDS" and self.is_adult)
        heard = utterance.waveform * decibels(self.level_dbfs + float(rng.normal(0, self.level_spread_db)))
        if self.response is not None:
            heard = convolve(heard, self.response)
        heard *= min(1.0, self.loudest_peak / max(float(np.abs(heard).max()), 1e-9))
        if self.label == "KCHI" and rng.random() < config.clipping_share:
            heard = heard * decibels(_OVERLOAD_DB)
        addressee = kind if self.is_adult else ""
        return Turn(0, self.label, self.speaker.speaker_id, addressee, utterance, heard.astype(np.float32))

    @property
    def is_adult(self) -> bool:
        return self.label in {"FEM", "MAL"}


class _Exchange(NamedTuple):
    """Speakers of an exchange, and the addressee of its adults."""

    kind: str
    people: tuple[_Person, ...]


class _Timeline:
    """Free times for the next turn: at most two people speak at once, and no speaker overlaps with themselves."""

    def __init__(self) -> None:
        self.clock = 0
        self.spoken = 0
        self._last: Turn | None = None
        self._others_end = 0
        self._own_end: dict[str, int] = {}

    def place(self, turn: Turn, gap: int) -> Turn:
        """Place a turn at ``gap`` samples (negative: an overlap) after all others, or as soon as it may start."""
        earliest = max(self._others_end, self._own_end.get(turn.speaker_id, 0)) + SAMPLE_RATE // 10
        if self._last is not None:
            earliest = max(earliest, self._last.start + SAMPLE_RATE // 5)
        start = -(-max(self.clock + gap, earliest) // SAMPLES_PER_MS) * SAMPLES_PER_MS
        return replace(turn, start=start)

    def take(self, turn: Turn) -> None:
        """Add a placed turn."""
        self._others_end = self.clock
        self.spoken += max(0, turn.end - max(turn.start, self.clock))
        self._own_end[turn.speaker_id] = turn.end
        self._last = turn
        self.clock = max(self.clock, turn.end)


def _conversation(cast: Cast, config: SceneConfig, rng: np.random.Generator) -> Iterator[Turn]:
    people = (_place_people if config.levels == "typical" else _place_people_anywhere)(cast, config, rng)
    adults = [person for person in people if person.is_adult]
    timeline = _Timeline()
    rest = int(rng.uniform(0.3, 1.5) * SAMPLE_RATE)
    deck: list[_Exchange] = []
    while True:
        if not deck:
            deck = _possible_exchanges(people, rng)
            rng.shuffle(deck)  # type: ignore[arg-type]
        exchange = deck.pop()
        if config.monologue_share and adults and rng.random() < config.monologue_share:
            exchange = _Exchange("ADS", (adults[rng.integers(len(adults))],))
        for turn in _exchange(exchange, people, timeline, rest, config, rng):
            if turn.end > config.samples:
                return
            timeline.take(turn)
            yield turn
        owed = timeline.spoken / config.speech_share - timeline.clock
        rest = max(int(owed * rng.gamma(2.0, 0.5)), int(1.5 * SAMPLE_RATE))


def _exchange(
    exchange: _Exchange,
    everybody: list[_Person],
    timeline: _Timeline,
    rest: int,
    config: SceneConfig,
    rng: np.random.Generator,
) -> Iterator[Turn]:
    """Turns of one exchange, the first after ``rest`` samples of silence. The caller places each before the next."""
    bystanders = [p for p in everybody if not p.is_adult and p not in exchange.people]
    speaking = int(rng.integers(len(exchange.people)))
    gap = rest
    for number in range(_turn_count(config, rng)):
        interjects = number > 0 and bystanders and rng.random() < config.interjection_share
        person = bystanders[rng.integers(len(bystanders))] if interjects else exchange.people[speaking]
        turn = timeline.place(person.turn(exchange.kind, config, rng), gap)
        yield turn
        gap = _gap(len(turn.utterance.waveform), config, rng)
        if number == 0 or rng.random() < 0.8:
            speaking = (speaking + 1) % len(exchange.people)


def _turn_count(config: SceneConfig, rng: np.random.Generator) -> int:
    """Number of turns: two or more, six on average; fewer in short scenes, so that every kind of exchange occurs."""
    room = config.minutes * 60 * config.speech_share / 1.5 / 8
    return 1 + int(rng.geometric(1 / (min(max(room, 2.0), 6.0) - 1)))


def _gap(turn_samples: int, config: SceneConfig, rng: np.random.Generator) -> int:
    """Samples from the end of a turn to the next; negative for an overlap.

    Most overlaps are early starts of the next speaker: log-normal (Laskowski et al. 2012), with a median of 0.2 s and
    a mean of 0.28 s as between adults on the telephone (Levinson & Torreira 2015).
    """
    if rng.random() >= config.overlap_share:
        return int(0.35 * rng.lognormal(0, 0.7) * SAMPLE_RATE)
    longest = min(turn_samples, 2 * SAMPLE_RATE)
    if rng.random() < config.talking_over_share:
        return -int(rng.uniform(0.1, 0.6) * longest)
    return -int(min(0.2 * rng.lognormal(0, 0.8) * SAMPLE_RATE, 0.6 * longest))


def _place_people(cast: Cast, config: SceneConfig, rng: np.random.Generator) -> list[_Person]:
    """Assign a level and a distance to every speaker; the key child carries the microphone and stays dry."""

    def place(speaker: Speaker, label: str, decay_s: float, direct_db: float) -> _Person:
        level = config.levels_dbfs[label] + float(rng.normal(0, 3.0))
        return _Person(speaker, label, level, room_response(decay_s, direct_db + float(rng.normal(0, 1.5)), rng))

    key_level = config.levels_dbfs["KCHI"] + float(rng.normal(0, 2.0))
    people = [_Person(cast.key_child, "KCHI", key_level, None, loudest_peak=_LOUDEST_KEY_PEAK)]
    decay_s = float(rng.uniform(0.15, 0.5))
    people += [place(speaker, "OCH", decay_s, 6.0) for speaker in cast.other_children]
    people += [place(speaker, "FEM", decay_s, 6.0) for speaker in cast.women]
    return people + [place(speaker, "MAL", decay_s, 4.0) for speaker in cast.men]


def _place_people_anywhere(cast: Cast, config: SceneConfig, rng: np.random.Generator) -> list[_Person]:
    """Assign adults any level at any distance; other children are further away than the key child, and quieter."""
    key_level = config.levels_dbfs["KCHI"] + float(rng.normal(0, 3.0))
    decay_s = float(rng.uniform(0.1, 0.7))

    def place(speaker: Speaker, label: str, level_dbfs: float, direct_db: tuple[float, float]) -> _Person:
        near = label != "OCH" and rng.random() < 1 / 3
        response = None if near else room_response(decay_s, float(rng.uniform(*direct_db)), rng)
        return _Person(speaker, label, level_dbfs, response, _WIDE_SPREAD_DB, _LOUDEST_KEY_PEAK)

    people = [_Person(cast.key_child, "KCHI", key_level, None, _WIDE_SPREAD_DB, _LOUDEST_KEY_PEAK)]
    people += [place(speaker, "OCH", key_level - rng.uniform(5, 20), (-2.0, 9.0)) for speaker in cast.other_children]
    for label, adults in (("FEM", cast.women), ("MAL", cast.men)):
        people += [place(speaker, label, float(rng.uniform(*_ADULT_DBFS)), (-4.0, 14.0)) for speaker in adults]
    return people


def _possible_exchanges(people: list[_Person], rng: np.random.Generator) -> list[_Exchange]:
    """All kinds of exchanges that these speakers can have, once each, so that kinds stay balanced in short scenes."""

    def some(label: str) -> _Person | None:
        candidates = [person for person in people if person.label == label]
        return candidates[rng.integers(len(candidates))] if candidates else None

    key, child, woman, man = (some(label) for label in ("KCHI", "OCH", "FEM", "MAL"))
    adults = [person for person in people if person.is_adult]
    pair = tuple(adults[k] for k in rng.permutation(len(adults))[:2])
    meetings = [
        ("KCDS", (key, woman)),
        ("KCDS", (woman, key)),
        ("KCDS", (key, man)),
        ("OCDS", (child, woman)),
        ("OCDS", (child, man)),
        ("ADS", pair if len(pair) == 2 else (None,)),
        ("", (key, child)),
        ("", (key,)),
    ]
    return [
        _Exchange(kind, tuple(p for p in present if p is not None))
        for kind, present in meetings
        if None not in present
    ]


def _television(speakers: tuple[Speaker, ...], share: float, rng: np.random.Generator) -> Iterator[Sound]:
    """Endless unlabelled speech through a small loudspeaker, in bouts of about 40 s."""
    if not speakers or share <= 0:
        return
    loudspeaker = band(300.0, 4500.0)
    at = int(rng.exponential(40.0 * (1 - share) / share) * SAMPLE_RATE)
    while True:
        until = at + int(rng.gamma(2.0, 20.0) * SAMPLE_RATE)
        gain = decibels(_TELEVISION_DBFS + float(rng.normal(0, 3)))
        while at < until:
            utterance = speakers[rng.integers(len(speakers))].utter(rng)
            yield at, convolve(utterance.waveform * gain, loudspeaker)
            at += len(utterance.waveform) + int(rng.uniform(0.1, 0.5) * SAMPLE_RATE)
        at += int(rng.exponential(40.0 * (1 - share) / share) * SAMPLE_RATE)
