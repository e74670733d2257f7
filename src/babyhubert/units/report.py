"""Quality of units: number in use, evenness, durations, and information about phones.

Input: labels of a pack and, optionally, phones with or without times and ABX items. Output: a table on the terminal,
``report.json``, ``units.png``, and ``alignment.csv`` if the times of phones were estimated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from babyhubert.config import Config, Seed
from babyhubert.corpus.shards import Labels, Pack
from babyhubert.errors import ConfigError, CorpusError, MissingExtraError
from babyhubert.files import atomic_path, make_folder, write_json
from babyhubert.phonology.forced_alignment import Aligner
from babyhubert.timebase import FRAME_HOP, SAMPLES_PER_MS
from babyhubert.units.abx import AbxErrors, abx_errors
from babyhubert.units.alignment import align
from babyhubert.units.counts import UnitCounts
from babyhubert.units.phones import SILENCE, Agreement, Alignment, count_together

FRAME_MS = FRAME_HOP // SAMPLES_PER_MS
_FRAMES_AT_ONCE = 2_000_000
_SHOWN_DEAD = 20


class ReportSettings(Config):
    """References for units.

    Attributes:
        alignment: CSV ``recording_id,start_s,end_s,phone``.
        transcripts: CSV ``utterance_id,phones``, instead of an alignment.
        aligner: Method of estimating times for transcripts, see `units.forced_alignment`.
        abx: Item file of the ZeroSpeech form.
        seed: Seed of the choice of ABX items.
    """

    alignment: str | None = None
    transcripts: str | None = None
    aligner: Aligner = "uniform"
    abx: str | None = None
    seed: Seed = 0


@dataclass(frozen=True, eq=False)
class Usage(UnitCounts):
    """Frequencies and durations of units.

    Attributes:
        runs: Runs of each length in frames, int64 (longest + 1,); runs end with their segment.
    """

    runs: NDArray[np.int64]

    @property
    def mean_run(self) -> float:
        """Mean length of a run in frames."""
        return float(self.runs @ np.arange(len(self.runs)) / self.runs.sum())

    @property
    def median_run(self) -> int:
        """Median length of a run in frames (the lower of two middle ones)."""
        return int(np.searchsorted(np.cumsum(self.runs), (self.runs.sum() + 1) // 2))


@dataclass(frozen=True, eq=False)
class UnitReport:
    """Results of a unit report.

    Attributes:
        usage: Usage over all frames of both splits.
        facts: Teacher, k-means and pack of the labels.
        phones: Names of phones, empty without phones.
        together: Frames of each unit on each phone, int64 (K, P), or None.
        timing: Source of the times of phones: ``given``, ``uniform`` or ``gaussian``; None without phones.
        agreement: Agreement with phones, over all frames with a phone, silence included.
        without_silence: The same without frames of silence, if there are any.
        abx: ABX errors, if requested.
    """

    usage: Usage
    facts: dict[str, Any]
    phones: tuple[str, ...] = ()
    together: NDArray[np.int64] | None = None
    timing: str | None = None
    agreement: Agreement | None = None
    without_silence: Agreement | None = None
    abx: AbxErrors | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        usage = self.usage
        return {
            "labels": self.facts,
            "frames": int(usage.counts.sum()),
            "clusters": len(usage.counts),
            "used": len(usage.counts) - len(usage.dead),
            "dead": usage.dead.tolist(),
            "perplexity": usage.perplexity,
            "largest_share": usage.largest_share,
            "mean_run_frames": usage.mean_run,
            "median_run_frames": usage.median_run,
            "runs": {str(length): int(n) for length, n in enumerate(usage.runs) if n},
            "counts": usage.counts.tolist(),
            "phone_timing": self.timing,
            "agreement": None if self.agreement is None else asdict(self.agreement),
            "agreement_without_silence": None if self.without_silence is None else asdict(self.without_silence),
            "abx": None if self.abx is None else asdict(self.abx),
        }

    def table(self) -> Table:
        """Return a table for the terminal."""
        usage = self.usage
        table = Table(title=f"Units of {self.facts['teacher']['name']}", title_justify="left", show_header=False)
        table.add_column("measure")
        table.add_column("value", justify="right")
        dead = ", ".join(map(str, usage.dead[:_SHOWN_DEAD])) + (" ..." if len(usage.dead) > _SHOWN_DEAD else "")
        table.add_row("frames", f"{usage.counts.sum():,}")
        table.add_row("units used", f"{len(usage.counts) - len(usage.dead)} of {len(usage.counts)}")
        table.add_row("dead units", dead or "none")
        table.add_row("perplexity", f"{usage.perplexity:.1f}")
        table.add_row("most frequent unit", f"{100 * usage.largest_share:.2f} % of frames")
        runs = f"{usage.mean_run:.2f} frames ({FRAME_MS * usage.mean_run:.0f} ms), median {usage.median_run}"
        table.add_row("run length, mean", runs)
        for found, name in ((self.agreement, ""), (self.without_silence, " without silence")):
            if found is not None:
                table.add_section()
                table.add_row(f"PNMI{name}", f"{found.pnmi:.3f}")
                table.add_row(f"phone purity{name}", f"{found.phone_purity:.3f}")
                table.add_row(f"cluster purity{name}", f"{found.cluster_purity:.3f}")
                table.add_row("frames with a phone", f"{found.frames:,} (times: {self.timing})")
        if self.abx is not None:
            table.add_section()
            table.add_row("ABX error within speaker", f"{100 * self.abx.within_speaker:.2f} %")
            across = self.abx.across_speaker
            table.add_row("ABX error across speakers", "one speaker" if across is None else f"{100 * across:.2f} %")
            table.add_row("ABX items used, skipped", f"{self.abx.items:,}, {self.abx.left_out:,}")
        return table


def report(labels: Labels, output: Path, settings: ReportSettings | None = None) -> UnitReport:
    """Measure units and write ``report.json`` and ``units.png`` (and ``alignment.csv``, see the module).

    Raises:
        ConfigError: both an alignment and transcripts, or ABX without fastabx.
        AnnotationError: a table cannot be read.
        CorpusError: a table has no recording of this pack, or there are no frames.
        MissingExtraError: matplotlib, or what an aligner needs, is not installed.
        OutputError: the folder cannot be written.
    """
    settings, output = settings or ReportSettings(), make_folder(Path(output))
    if settings.alignment and settings.transcripts:
        raise ConfigError("an alignment and transcripts: give one of them")
    figure_class()
    facts = {key: labels.facts[key] for key in ("teacher", "kmeans", "pack") if key in labels.facts}
    abx = None if settings.abx is None else abx_errors(labels, Path(settings.abx), settings.seed)
    found = UnitReport(measure_usage(labels), facts, abx=abx)
    alignment = _alignment(labels.pack, settings, output)
    if alignment is not None:
        where = str(settings.alignment or settings.transcripts)
        found = _with_phones(found, labels, alignment, where, "given" if settings.alignment else settings.aligner)
    write_json(output / "report.json", found.to_json())
    draw(found, output / "units.png")
    return found


def measure_usage(labels: Labels) -> Usage:
    """Count units and runs over all labels, some million frames at a time.

    Raises:
        CorpusError: no frames, or an invalid label.
    """
    pack = labels.pack
    counts = np.zeros(labels.clusters, dtype=np.int64)
    runs = np.zeros(1, dtype=np.int64)
    for shard in pack.shards:
        units = labels.shard(shard.number)
        rows = pack.rows_of(shard.number)
        rows = rows[pack.frames[rows] > 0]
        for first, stop, begins in _blocks(pack, rows):
            block = np.asarray(units[first:stop])
            if int(block.max()) >= labels.clusters:
                raise CorpusError(f"{labels.folder}: unit {int(block.max())} of {labels.clusters}; assign again")
            counts += np.bincount(block, minlength=labels.clusters)
            runs = _add(runs, _run_lengths(block, begins))
    if not counts.any():
        raise CorpusError(f"{labels.folder}: no frames; every segment is shorter than 25 ms")
    return Usage(counts, runs)


def _blocks(pack: Pack, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """First and past-the-last frame of blocks of complete segments of a shard, and their segments' beginnings."""
    offsets, frames = pack.frame_offset[rows], pack.frames[rows]
    group = (np.cumsum(frames) - frames) // _FRAMES_AT_ONCE
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(group)) + 1):
        if len(part):
            first = int(offsets[part[0]])
            yield first, int(offsets[part[-1]] + frames[part[-1]]), offsets[part] - first


def _run_lengths(units: NDArray[np.uint16], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of runs of each length, int64; a run ends if the unit changes or a segment begins."""
    border = np.concatenate([[True], units[1:] != units[:-1]])
    border[begins] = True
    return np.bincount(np.diff(np.append(np.flatnonzero(border), len(units))))


def _add(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros(max(len(one), len(other)), dtype=np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total


def _alignment(pack: Pack, settings: ReportSettings, output: Path) -> Alignment | None:
    if settings.alignment:
        return Alignment.read(Path(settings.alignment))
    if not settings.transcripts:
        return None
    alignment = align(pack, Path(settings.transcripts), settings.aligner)
    alignment.write(output / "alignment.csv")
    return alignment


def _with_phones(found: UnitReport, labels: Labels, alignment: Alignment, where: str, timing: str) -> UnitReport:
    together = count_together(labels, alignment, where)
    spoken = np.array([name != SILENCE for name in alignment.phones])
    some = not spoken.all() and together[:, spoken].any()
    return UnitReport(
        found.usage,
        found.facts,
        alignment.phones,
        together,
        timing,
        Agreement.of_counts(together),
        Agreement.of_counts(together[:, spoken]) if some else None,
        found.abx,
    )


def draw(found: UnitReport, path: Path) -> None:
    """Draw the figure of a report: frequencies, durations, and phones of units.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    panels = 2 if found.together is None else 3
    height = max(4.0, 0.14 * len(found.phones))
    figure = figure_class()(figsize=(5 * panels, height), layout="constrained")
    axes = figure.subplots(1, panels)
    shares = np.sort(found.usage.counts)[::-1] / found.usage.counts.sum()
    axes[0].plot(100 * shares)
    axes[0].set(xlabel="units, most frequent first", ylabel="% of frames", ylim=(0, None))
    shown = found.usage.runs[: 1 + max(20, 4 * found.usage.median_run)]
    axes[1].bar(FRAME_MS * np.arange(1, len(shown)), 100 * shown[1:] / found.usage.runs.sum(), width=0.8 * FRAME_MS)
    axes[1].set(xlabel="length of a run, ms", ylabel="% of runs")
    if found.together is not None:
        _draw_phones(axes[2], found.together, found.phones)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_phones(axis: Any, together: NDArray[np.int64], phones: tuple[str, ...]) -> None:
    used = together[together.sum(axis=1) > 0]
    given = used / used.sum(axis=1, keepdims=True)
    order = np.argsort(given.argmax(axis=1), kind="stable")
    axis.imshow(given[order].T, aspect="auto", interpolation="nearest", vmin=0, vmax=1, cmap="Greys")
    axis.set(xlabel="units, by their commonest phone", title="P(phone | unit)")
    axis.set_yticks(range(len(phones)), phones, fontsize=6)


def figure_class() -> Any:
    """Matplotlib's figure class, which needs no display and keeps no global state.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the picture of units", "pretrain") from None
    return Figure
