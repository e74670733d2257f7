"""``babyhubert convert``: checkpoints between layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from babyhubert.cli.messages import say

LAYOUTS = ("transformers", "torchaudio", "fairseq", "vtc-2.0", "vtc-2.1", "addressee", "babar")


def convert(
    source: Annotated[
        str,
        typer.Argument(metavar="SRC", help="Checkpoint file, model folder, or owner/name[@revision] on the hub."),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="Folder to write (transformers), or file (every other layout).")
    ],
    to: Annotated[
        str, typer.Option("--to", metavar="LAYOUT", help=f"Layout to write: {', '.join(LAYOUTS)}.")
    ] = "transformers",
    half: Annotated[
        bool, typer.Option("--half", help="Store weights as float16: half the space, 11 bits of each number.")
    ] = False,
    thresholds: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder that 'tune voice-type' wrote (f1.toml, ...): sets of thresholds to store in the copy.",
        ),
    ] = None,
    simultaneous: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Default of 'segment --simultaneous' to store in the copy: beside a likelier class, another counts "
            "only above this probability.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="confidence.json of 'tune confidence', fitted on a run of this model: stored in the copy, whose "
            "confidences are then probabilities.",
        ),
    ] = None,
    allow_loss: Annotated[
        bool,
        typer.Option("--allow-loss", help="Drop what the layout cannot store, and CTC outputs without vocab.json."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace DST if it exists.")] = False,
) -> None:
    """Convert a checkpoint between layouts and verify every tensor of the copy.

    The layout of SRC is recognised by its contents: BabyHuBERT and torchaudio, transformers (HuBERT, wav2vec 2.0 and
    WavLM, also with a CTC output and its vocab.json), fairseq and s3prl, VTC 2.0 and 2.1, addressee, BabAR. Files are
    opened without running their code. Optimiser states are not converted.
    """
    from babyhubert.errors import ConfigError

    if to not in LAYOUTS:
        raise ConfigError(f"--to {to}: use one of {', '.join(LAYOUTS)}")
    from babyhubert.cli.options import checked_probability
    from babyhubert.encoder.conversion import convert_checkpoint
    from babyhubert.encoder.loading import model_hash, resolve_model
    from babyhubert.inference.confidence import read_confidence
    from babyhubert.inference.thresholds import read_threshold_sets, tuning_notes

    sets: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    if thresholds is not None:
        sets = read_threshold_sets(thresholds)
        # before DST is written, which may be the same path as SRC
        notes = list(tuning_notes(thresholds, list(sets), model_hash(resolve_model(source))))
    meaning = None if confidence is None else read_confidence(confidence)
    if meaning is not None:
        fitted = meaning.about.get("model", {})
        if fitted.get("sha256") not in (None, model_hash(resolve_model(source))):
            notes.append(
                f"these confidences were fitted on another model, {fitted.get('source') or 'of unknown name'}"
            )
    result = convert_checkpoint(
        source,
        destination,
        to,
        half=half,
        thresholds=sets,
        simultaneous=checked_probability("--simultaneous", simultaneous),
        confidence=None if meaning is None else meaning.as_record(),
        allow_loss=allow_loss,
        overwrite=force,
    )
    checkpoint = result.source
    parts = ["encoder", *checkpoint.pretraining, *(f"{task} head" for task in checkpoint.heads)]
    say(
        f"read    {source}: {checkpoint.flavour}, size {checkpoint.config.size_name or 'of its own'}, "
        f"{checkpoint.parameter_count:,} parameters ({', '.join(parts)})"
    )
    say(f"wrote   {destination}: {result.flavour}, {result.verified} tensors verified equal")
    if sets:
        say(f"brings  thresholds {', '.join(sets)} ('segment --thresholds')")
    for note in (*notes, *result.notes):
        say(f"note: {note}", err=True)
    if result.left_out:
        say(f"left out (--allow-loss): {', '.join(result.left_out)}")
