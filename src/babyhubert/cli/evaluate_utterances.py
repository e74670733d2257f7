"""``babyhubert evaluate addressee``, ``classify`` and ``phonemes``: scores of utterances."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from babyhubert.cli.endings import print_notes
from babyhubert.cli.groups import Resampling, option_groups
from babyhubert.cli.options import UemOption
from babyhubert.cli.scores import say_written, show, source, split_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from babyhubert.annotation.segments import Segments
    from babyhubert.tasks.classification.evaluation import Question

_SEGMENTS: tuple[Literal["auto", "same", "predicted"], ...] = ("auto", "same", "predicted")

SegmentsAreOption = Annotated[
    str,
    typer.Option(
        help="same: both sides have the same segments, and utterances are scored; predicted: they have "
        "not, and time is scored; auto: same if at least half of the reference's turns are predicted "
        "with equal times."
    ),
]
ScoresFolderOption = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Folder for evaluation.json and scores.csv. Default: only the tables."),
]


@dataclass(frozen=True, kw_only=True)
class UtteranceResampling(Resampling):
    """Like :class:`Resampling`, with other units than recordings."""

    bootstrap: Annotated[int, typer.Option(help="Resamples for the intervals; 0: no intervals.", min=0)] = 2000


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
    """Addressees: F1 per class and their mean, of utterances or, with predicted segments, of time."""
    from babyhubert.runs.provenance import check_run
    from babyhubert.tasks.addressee import evaluation as task

    print_notes(check_run(predictions, "addressee"))
    sides = task.read_addressees(reference), task.read_addressees(predictions)
    _evaluate_classes(
        task.QUESTION,
        (reference, predictions),
        sides,
        output,
        segments=segments,
        labels=split_names(labels),
        rewrite={**task.PUBLISHED_MAP, **_rewritten(rewrite or (), sides, task.QUESTION)},
        uem=uem,
        resampling=resampling,
    )


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
        typer.Option(help="Task whose results are scored, if the output folder has several.", show_default=False),
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
    """Classes of a task: F1 per class and their mean, of utterances or, with predicted segments, of time.

    Example: babyhubert evaluate classify --reference truth.csv --predictions results/ --task my_task
    """
    from babyhubert.runs.provenance import check_run
    from babyhubert.tasks.classification.evaluation import read_classes
    from babyhubert.tasks.classification.results import question_of

    found = question_of(predictions, task, column, split_names(labels or ""), split_names(voices or ""))
    print_notes(check_run(predictions, found.task))
    sides = read_classes(reference, found.question), read_classes(predictions, found.question, found.task)
    _evaluate_classes(
        found.question,
        (reference, predictions),
        sides,
        output,
        segments=segments,
        labels=found.labels,
        rewrite=_rewritten(rewrite or (), sides, found.question),
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
    """Score reference and prediction, print the tables, and write them if an output is given."""
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


def _rewritten(
    pairs: Sequence[str], sides: tuple[Mapping[str, Segments], Mapping[str, Segments]], question: Question
) -> dict[str, str]:
    """Classes of ``--map``, with a note about each that neither side has."""
    from babyhubert.tasks.classification.evaluation import classes_nowhere

    rewrite = dict(_split_pair(pair) for pair in pairs)
    print_notes(
        f"--map {name}={rewrite[name]}: neither side has the {question.column} {name!r}, nothing is scored differently"
        for name in classes_nowhere(rewrite, sides, question)
    )
    return rewrite


def _split_pair(text: str) -> tuple[str, str]:
    from babyhubert.errors import ConfigError

    name, separator, other = (part.strip() for part in text.partition("="))
    if not (name and separator and other):
        raise ConfigError(f"--map {text}: write it as FROM=TO, for example --map OCDS=Other")
    return name, other


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
            help="Voice types to score, separated by commas, if a table has a label or speaker column; 'all' "
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
            help="Phonemes of the model: JSON, or one per line. Others are reported. Default: the published 57.",
            metavar="FILE",
        ),
    ] = None,
    simplify: Annotated[
        bool,
        typer.Option(
            "--simplify",
            help="Split symbols outside the inventory on both sides (affricates, diphthongs), and drop stress "
            "and length.",
        ),
    ] = False,
    ignore_unmatched: Annotated[
        bool,
        typer.Option(
            "--ignore-unmatched",
            help="Ignore predictions that match no reference utterance; otherwise they count as inserted.",
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
    confusions: Annotated[int, typer.Option(help="Number of the most frequent errors to show.", min=0)] = 10,
    *,
    resampling: UtteranceResampling,
) -> None:
    """Phonemes: error rate with its parts, by group, compared with baselines that use no audio.

    Edit distances are summed over utterances and divided by the reference's phonemes, as published.
    """
    import numpy as np

    from babyhubert.runs.provenance import check_run
    from babyhubert.tasks.phonemes import presentation as shown
    from babyhubert.tasks.phonemes import tables
    from babyhubert.tasks.phonemes.evaluation import score_phonemes

    rewrite = None if phone_map is None else tables.read_rewriting(phone_map)
    symbols = tables.read_symbols(inventory)
    print_notes(check_run(predictions, "phonemes"))
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
