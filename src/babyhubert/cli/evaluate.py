"""``babyhubert evaluate``: the published metrics, with intervals, as tables and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from babyhubert.cli.endings import tell_notes
from babyhubert.cli.groups import Resampling, option_groups
from babyhubert.cli.options import DeviceOption, ThresholdsOption, UemOption

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.table import Table

    from babyhubert.annotation.segments import Segments
    from babyhubert.tasks.classification.evaluation import Question

_MOST_MINUTES = 120
_SEGMENTS: tuple[Literal["auto", "same", "predicted"], ...] = ("auto", "same", "predicted")

SegmentsAreOption = Annotated[
    str,
    typer.Option(
        help="same: both sides have the same segments, and utterances are scored; predicted: they have not, and "
        "time is scored; auto: same where at least half of the reference's turns are predicted with equal times."
    ),
]
ScoresFolderOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for evaluation.json and scores.csv. Default: only the tables."),
]

app = typer.Typer(
    help="Score predictions against a reference with the published metrics.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@dataclass(frozen=True, kw_only=True)
class UtteranceResampling(Resampling):
    """As :class:`Resampling`, where it is not recordings that are drawn."""

    bootstrap: Annotated[int, typer.Option(help="Resamples for the intervals; 0: no intervals.", min=0)] = 2000


@app.callback()
def _group() -> None:
    """Score predictions against a reference with the published metrics."""


@app.command("voice-type")
@option_groups
def voice_type(
    reference: Annotated[
        Path,
        typer.Option(
            help="RTTM or CSV file, or a folder of them. Every recording in it is scored.", show_default=False
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            help="RTTM or CSV file, or a folder of them, such as the output of 'babyhubert segment'. A recording "
            "without prediction counts as predicted silent.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for evaluation.json and fscore.csv. Default: only the tables."),
    ] = None,
    uem: UemOption = None,
    labels: Annotated[str, typer.Option(help="Classes to score, separated by commas.")] = "KCHI,OCH,MAL,FEM",
    recordings: Annotated[
        Path | None,
        typer.Option(
            help="CSV with recording_id (or recording_filename) and columns for --by and --over.", metavar="FILE"
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Column of --recordings to score apart, such as corpus; may be repeated.", metavar="COLUMN"),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            help="Column of --recordings to resample, such as child_id. Default: recordings.", metavar="COLUMN"
        ),
    ] = None,
    *,
    resampling: Resampling,
) -> None:
    """Who spoke when: F1 a class over time, and their mean, as published for VTC.

    Durations of true and false positives and of false negatives are summed over recordings; no collar; overlapping
    speech counts.
    """
    import numpy as np

    from babyhubert.annotation.uem import read_uem
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation import presentation as shown
    from babyhubert.evaluation.detection import compare
    from babyhubert.evaluation.recording_groups import GroupedScoring
    from babyhubert.runs.provenance import check_run

    if recordings is None and (by or over):
        raise ConfigError("--by and --over name columns of a table of recordings; give it with --recordings")
    tell_notes(check_run(predictions, "segment"))
    report = compare(
        shown.read_side(reference),
        shown.read_side(predictions),
        split_names(labels),
        None if uem is None else read_uem(uem),
    )
    scoring = GroupedScoring.read(report, recordings, over)
    rng, draws, confidence = np.random.default_rng(resampling.seed), resampling.bootstrap, resampling.confidence
    intervals = scoring.intervals(rng, draws, confidence)
    groups = [group for column in by or () for group in scoring.groups(column, rng, draws, confidence)]
    tables = [shown.score_table(report, intervals), shown.confusion_table(report)]
    show(tables + ([shown.group_table(report, groups)] if groups else []), shown.notes(report, intervals, groups))
    if output is not None:
        settings = source(
            reference=reference, predictions=predictions, uem=uem, recordings=recordings, seed=resampling.seed
        )
        say_written(shown.write_report(output, report, intervals, settings, groups, over or "recordings"))


@app.command("addressee")
@option_groups
def addressee(
    reference: Annotated[
        Path,
        typer.Option(
            help="CSV with recording_id,start_s,end_s,label,addressee or uid,start_time_s,duration_s,label,addressee, "
            "or a folder of them. Adult turns (FEM, MAL) of every recording in it are scored.",
            show_default=False,
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            help="The same kind of table, or the output of 'babyhubert addressee'. An utterance without prediction "
            "counts as wrong.",
            show_default=False,
        ),
    ],
    output: ScoresFolderOption = None,
    segments: SegmentsAreOption = "auto",
    labels: Annotated[str, typer.Option(help="Classes to score, separated by commas.")] = "ADS,KCDS,Other",
    rewrite: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help="Addressee to score as another; may be repeated. Default: OCDS=Other.", metavar="A=B"
        ),
    ] = None,
    uem: UemOption = None,
    *,
    resampling: Resampling,
) -> None:
    """To whom adults speak: F1 a class and their mean, of utterances or, with predicted segments, of time."""
    from babyhubert.runs.provenance import check_run
    from babyhubert.tasks.addressee import evaluation as task

    tell_notes(check_run(predictions, "addressee"))
    _evaluate_classes(
        task.QUESTION,
        (reference, predictions),
        (task.read_addressees(reference), task.read_addressees(predictions)),
        output,
        segments=segments,
        labels=split_names(labels),
        rewrite={**task.PUBLISHED_MAP, **dict(_split_pair(pair) for pair in rewrite or ())},
        uem=uem,
        resampling=resampling,
    )


@app.command("classify")
@option_groups
def classify(
    reference: Annotated[
        Path,
        typer.Option(
            help="CSV with recording_id,start_s,end_s,label and the column of the task, or a folder of them. Turns of "
            "the task's voices in every recording in it are scored.",
            show_default=False,
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            help="The output of 'babyhubert classify', or the same kind of table. A turn without prediction counts as "
            "wrong.",
            show_default=False,
        ),
    ],
    output: ScoresFolderOption = None,
    task: Annotated[
        str | None,
        typer.Option(help="Task whose results are scored, where the output folder has several.", show_default=False),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(help="Column of the classes. Default: that of the task.", show_default=False),
    ] = None,
    segments: SegmentsAreOption = "auto",
    labels: Annotated[
        str | None,
        typer.Option(help="Classes to score, separated by commas. Default: those of the task.", show_default=False),
    ] = None,
    voices: Annotated[
        str | None,
        typer.Option(
            help="Labels of the turns to score, separated by commas. Default: those of the task.", show_default=False
        ),
    ] = None,
    rewrite: Annotated[
        list[str] | None,
        typer.Option("--map", help="Class to score as another; may be repeated.", metavar="A=B"),
    ] = None,
    uem: UemOption = None,
    *,
    resampling: Resampling,
) -> None:
    """Classes of a task: F1 a class and their mean, of utterances or, with predicted segments, of time.

    Example: babyhubert evaluate classify --reference truth.csv --predictions results/ --task my_task
    """
    from babyhubert.runs.provenance import check_run
    from babyhubert.tasks.classification.evaluation import read_classes
    from babyhubert.tasks.classification.results import question_of

    found = question_of(predictions, task, column, split_names(labels or ""), split_names(voices or ""))
    tell_notes(check_run(predictions, found.task))
    _evaluate_classes(
        found.question,
        (reference, predictions),
        (read_classes(reference, found.question), read_classes(predictions, found.question, found.task)),
        output,
        segments=segments,
        labels=found.labels,
        rewrite=dict(_split_pair(pair) for pair in rewrite or ()),
        uem=uem,
        resampling=resampling,
    )


def _evaluate_classes(
    question: Question,
    paths: tuple[Path, Path],
    sides: tuple[Mapping[str, Segments], Mapping[str, Segments]],
    output: Path | None,
    *,
    segments: str,
    labels: Sequence[str],
    rewrite: Mapping[str, str],
    uem: Path | None,
    resampling: Resampling,
) -> None:
    """Score reference and prediction, show the tables, and write them where an output is named."""
    from babyhubert.annotation.uem import read_uem
    from babyhubert.cli.options import check_choice
    from babyhubert.tasks.classification import evaluation as scoring
    from babyhubert.tasks.classification import presentation as shown

    choice = check_choice("--segments", segments, _SEGMENTS)
    result = scoring.evaluate_classes(
        question,
        *sides,
        segments=None if choice == "auto" else choice,
        labels=labels,
        rewrite=rewrite,
        uem=None if uem is None else read_uem(uem),
    )
    report = result.utterances or result.time
    assert report is not None
    intervals = resampling.intervals(report.bootstrap)
    show(shown.evaluation_tables(result, intervals), shown.notes(result, intervals))
    if output is not None:
        settings = source(reference=paths[0], predictions=paths[1], uem=uem, seed=resampling.seed)
        say_written(shown.write_report(output, result, intervals, settings))


def _split_pair(text: str) -> tuple[str, str]:
    from babyhubert.errors import ConfigError

    name, separator, other = (part.strip() for part in text.partition("="))
    if not (name and separator and other):
        raise ConfigError(f"--map {text}: write it as FROM=TO, for example --map OCDS=Other")
    return name, other


@app.command("phonemes")
@option_groups
def phonemes(
    reference: Annotated[
        Path,
        typer.Option(
            help="CSV with phones (separated by spaces) and utterance_id, or recording_id,start_s,end_s, or "
            "filename,onset,offset. Every utterance in it is scored.",
            show_default=False,
        ),
    ],
    predictions: Annotated[
        Path,
        typer.Option(
            help="The same kind of table, or a folder of them, such as the output of 'babyhubert phonemes'. An "
            "utterance without prediction counts as empty.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="Folder for evaluation.json, groups.csv, confusions.csv, utterances.csv. Default: only the tables.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of the reference to group by, such as age_years; may be repeated.", metavar="COLUMN"
        ),
    ] = None,
    speakers: Annotated[
        str,
        typer.Option(
            help="Voice types to score, separated by commas, where a table has a label or speaker column; 'all' "
            "scores every row."
        ),
    ] = "KCHI",
    phone_map: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="CSV from,to: phones to rewrite on both sides; 'to' may be several, or empty.",
            metavar="FILE",
        ),
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option(
            help="Phonemes the model can give: JSON, or one a line. Others are named. Default: the published 57.",
            metavar="FILE",
        ),
    ] = None,
    simplify: Annotated[
        bool,
        typer.Option(
            "--simplify",
            help="Take symbols outside the inventory apart on both sides (affricates, diphthongs), without stress and "
            "length.",
        ),
    ] = False,
    ignore_unmatched: Annotated[
        bool,
        typer.Option(
            "--ignore-unmatched",
            help="Leave out predictions that meet no reference utterance; else they count as inserted.",
        ),
    ] = False,
    over: Annotated[
        str | None,
        typer.Option(
            help="Column whose values are resampled for the intervals. Default: the child or speaker id, else the "
            "recording.",
            metavar="COLUMN",
        ),
    ] = None,
    confusions: Annotated[int, typer.Option(help="Commonest errors to show.", min=0)] = 10,
    *,
    resampling: UtteranceResampling,
) -> None:
    """What the child said: phoneme error rate, with its parts, by group, next to answers that do not listen.

    Edit distances are summed over utterances and divided by the reference's phonemes, as published.
    """
    import numpy as np

    from babyhubert.runs.provenance import check_run
    from babyhubert.tasks.phonemes import presentation as shown
    from babyhubert.tasks.phonemes import tables
    from babyhubert.tasks.phonemes.evaluation import score_phonemes

    rewrite = None if phone_map is None else tables.read_rewriting(phone_map)
    symbols = tables.read_symbols(inventory)
    tell_notes(check_run(predictions, "phonemes"))
    truth, found = (tables.read_transcriptions(path, rewrite) for path in (reference, predictions))
    if simplify:
        truth, found = tables.simplified(truth, symbols), tables.simplified(found, symbols)
    pairing = tables.pair_transcriptions(
        truth,
        found,
        None if speakers == "all" else split_names(speakers),
        count_unmatched=not ignore_unmatched,
    )
    report = score_phonemes(
        pairing,
        by=by or (),
        unit=over,
        inventory=symbols,
        rng=np.random.default_rng(resampling.seed),
        resamples=resampling.bootstrap,
        confidence=resampling.confidence,
    )
    tables_shown = [shown.rate_table(report)] + ([shown.confusion_table(report, confusions)] if confusions else [])
    show(tables_shown, shown.notes(report))
    if output is not None:
        settings = source(
            reference=reference,
            predictions=predictions,
            speakers=speakers,
            map=phone_map,
            inventory=inventory,
            simplify=simplify,
            seed=resampling.seed,
        )
        say_written(shown.write_report(output, report, settings))


@app.command("agreement")
@option_groups
def agreement(
    first: Annotated[
        Path,
        typer.Option(help="One annotator: RTTM or CSV file, or a folder of them.", show_default=False),
    ],
    second: Annotated[
        Path,
        typer.Option(
            help="The other. Recordings of one annotator only are left out and named; an empty file means silent.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for evaluation.json and agreement.csv. Default: only the tables."),
    ] = None,
    uem: Annotated[
        Path | None,
        typer.Option(
            help="UEM file: the stretches that both annotated. Default: each recording up to its last segment.",
            metavar="FILE",
        ),
    ] = None,
    labels: Annotated[str, typer.Option(help="Classes to compare, separated by commas; at most 6.")] = (
        "KCHI,OCH,MAL,FEM"
    ),
    *,
    resampling: Resampling,
) -> None:
    """How well two annotators agree on voice types: F1 as for a model, and Cohen's kappa on frames of 20 ms."""
    from babyhubert.annotation.uem import read_uem
    from babyhubert.evaluation import agreement_presentation as shown
    from babyhubert.evaluation.agreement import agree
    from babyhubert.evaluation.presentation import read_side

    stretches = None if uem is None else read_uem(uem)
    report = agree(read_side(first), read_side(second), split_names(labels), stretches)
    intervals = resampling.intervals(report.bootstrap)
    show([shown.agreement_table(report, intervals), shown.confusion_table(report)], shown.notes(report, intervals))
    if output is not None:
        settings = source(first=first, second=second, uem=uem, seed=resampling.seed)
        say_written(shown.write_report(output, report, intervals, settings))


@app.command("robustness")
def robustness(
    model: Annotated[
        str | None,
        typer.Option(
            help="Model folder, checkpoint file, or hub repository. Without it: the small model of the package."
        ),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option(help="Recording for the window test. Default: a simulated scene.", metavar="FILE"),
    ] = None,
    sounds: Annotated[
        Path | None,
        typer.Option(
            help="Folder of recordings in which nobody speaks, a kind a sub-folder: they join the made-up sounds, "
            "each alone and with a quiet room around it.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    utterances: Annotated[
        Path | None,
        typer.Option(
            help="CSV of recorded utterances, as for 'simulate': what men, women and children right at the microphone "
            "are taken for.",
            metavar="CSV",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder for evaluation.json and false_alarms.csv. Default: only the tables."
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Of each sound, and at most of the recording.")] = 2.0,
    level: Annotated[float, typer.Option(help="RMS level of the sounds, in dB below full scale.")] = -30.0,
    thresholds: ThresholdsOption = "f1",
    window: Annotated[
        float | None,
        typer.Option(
            help="Window the model sees at once, in seconds. Default: as segment, that of the model.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            help="Share of a window that neighbours have in common, 0 to below 1. Default: as segment, that of the "
            "model.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the sounds and the scene.", min=0, max=2**63 - 1)] = 0,
    device: DeviceOption = "auto",
) -> None:
    """What a voice-type model hears where nobody speaks, and whether its windows show.

    Noise test: false alarms an hour in silence, hum, noise, music, animals, engines, rain and other made-up sounds,
    and in recorded ones (--sounds). Near-voice test (--utterances). Window test: how many decisions change when a
    recording begins later, and whether segments begin or end where windows join.
    """
    from functools import partial

    from babyhubert.cli.small_models import tell_small_model
    from babyhubert.errors import ConfigError
    from babyhubert.evaluation import robustness_presentation as shown
    from babyhubert.tasks.voice_type.prediction import SHIPPED_MODEL, VoiceTypeSettings, load_model
    from babyhubert.tasks.voice_type.robustness import run_robustness

    if not 0.1 <= minutes <= _MOST_MINUTES:
        raise ConfigError(f"--minutes {minutes}: between 0.1 and {_MOST_MINUTES}")
    if not -120 <= level <= 0:
        raise ConfigError(f"--level {level}: between -120 and 0 dB")
    settings = partial(VoiceTypeSettings.for_speed, "exact", window_s=window, overlap=overlap, thresholds=thresholds)
    settings()  # impossible windows are told before a model is loaded
    if model is None:
        tell_small_model(SHIPPED_MODEL.name)
    classifier = load_model(model, device=device)
    classifier = classifier.with_settings(settings(listening=classifier.listening))
    result = run_robustness(
        classifier,
        recording=recording,
        seconds=60 * minutes,
        level_dbfs=level,
        seed=seed,
        sounds=sounds,
        utterances=utterances,
    )
    show(shown.tables(result), shown.notes(result))
    if output is not None:
        plan = classifier.settings.plan.describe()
        about = {"sha256": classifier.hash, "thresholds": classifier.thresholds, "plan": plan}
        given = source(
            model=classifier.name,
            recording=recording,
            sounds=sounds,
            utterances=utterances,
            minutes=minutes,
            level_dbfs=level,
            seed=seed,
        )
        say_written(shown.write_report(output, result, given | about))


def split_names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def show(tables: Iterable[Table], notes: Iterable[str]) -> None:
    """Tables and notes: on a terminal as wide as it is, in a file or pipe 100 columns."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=100)
    for table in tables:
        console.print(table)
    for note in notes:
        typer.echo(f"note: {note}")


def say_written(paths: Iterable[Path]) -> None:
    """Name the files of a result."""
    typer.echo(f"written: {', '.join(map(str, paths))}")


def source(**given: Path | str | float | None) -> dict[str, Any]:
    """What a result was made from, for its record: version, paths as they were given, settings."""
    from babyhubert.version import __version__

    return {"babyhubert": __version__} | {
        name: str(value) if isinstance(value, Path) else value for name, value in given.items()
    }
