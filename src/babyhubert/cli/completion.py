"""Completion of values with the Tab key: models, tasks, speeds, formats and other choices.

The shell asks for it once ``babyhubert --install-completion`` was run. Options are completed by their name, in one
table; what is slow to import is imported only when its option is completed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from babyhubert.cli.options import SPEED_NAMES
from babyhubert.shipped import SHIPPED_MODELS, SMALL_MODEL, shipped_models

Values = Callable[[typer.Context], Iterable[str]]

RELEASED_NAMES = ("coml/VTC-2", "coml/addressee", "coml/BabyHuBERT")


def _model_names(_: typer.Context) -> list[str]:
    """Models of the package, released ones, and those in the cache of the hub."""
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME") or "~/.cache/huggingface", "hub"))
    cached = sorted(folder.name for folder in hub.expanduser().glob("models--*--*"))
    named = [name.removeprefix("models--").replace("--", "/", 1) for name in cached]
    return list(dict.fromkeys((*shipped_models(), *RELEASED_NAMES, *named)))


def _card(context: typer.Context) -> Mapping[str, Any]:
    """``task.json`` of the model that was given, if it is a folder or of the package."""
    given = context.params.get("model") or SMALL_MODEL.name
    folder = next((each for each in (Path(given), SHIPPED_MODELS / given) if (each / "task.json").is_file()), None)
    try:
        content = {} if folder is None else json.loads((folder / "task.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _tasks(context: typer.Context) -> list[str]:
    return list(_card(context).get("heads", {}))


def _threshold_sets(context: typer.Context) -> list[str]:
    return list(dict.fromkeys(("f1", "high-precision", *_card(context).get("thresholds", {}))))


def _written_formats(_: typer.Context) -> Iterable[str]:
    from babyhubert.exchange.export import FORMATS

    return FORMATS


def _layouts(_: typer.Context) -> Iterable[str]:
    from babyhubert.encoder.flavours import FLAVOURS

    return FLAVOURS


def _tier_namings(_: typer.Context) -> Iterable[str]:
    from babyhubert.annotation.codes import TIER_NAMINGS

    return TIER_NAMINGS


def _table_kinds(_: typer.Context) -> Iterable[str]:
    from babyhubert.exchange.workbook import TABLE_KINDS

    return TABLE_KINDS


def _clip_methods(_: typer.Context) -> Iterable[str]:
    from babyhubert.exchange.clip_choice import CLIP_METHODS

    return CLIP_METHODS


def _clip_formats(_: typer.Context) -> Iterable[str]:
    from babyhubert.exchange.clips import CLIP_FORMATS

    return CLIP_FORMATS


def _of(*choices: str) -> Values:
    return lambda _: choices


_FILES = "files"
_TABLE: dict[str, tuple[Values, str]] = {
    "model": (_model_names, _FILES),
    "voice_type": (_model_names, _FILES),
    "addressee": (_model_names, _FILES),
    "phonemes": (_model_names, _FILES),
    "convert source": (_model_names, _FILES),
    "models name": (_model_names, ""),
    "task": (_tasks, ""),
    "thresholds": (_threshold_sets, _FILES),
    "speed": (_of(*SPEED_NAMES), ""),
    "device": (_of("auto", "cpu", "cuda", "cuda:0", "mps"), ""),
    "channel": (_of("mean", "first", "loudest", "0", "1"), ""),
    "blend": (_of("mean", "taper", "crop"), ""),
    "dtype": (_of("float32", "float16"), ""),
    "pooling": (_of("utterance", "published"), ""),
    "start_times": (_of("from-names"), _FILES),
    "tiers": (_tier_namings, ""),
    "export to": (_written_formats, ""),
    "convert to": (_layouts, ""),
    "table to": (_table_kinds, ""),
    "sample method": (_clip_methods, ""),
    "review method": (_clip_methods, ""),
    "sample format_": (_clip_formats, ""),
    "simulate audio_format": (_of("wav", "flac"), ""),
    "regions source": (_of("whole", "annotations", "model", "silero"), ""),
}
"""Choices by the name of a parameter, or of a command and a parameter; and whether files may be given as well."""


def complete_values(app: typer.Typer) -> None:
    """Give the options and arguments of all commands of an application the completion of their values."""
    for group in app.registered_groups:
        if group.typer_instance is not None:
            complete_values(group.typer_instance)
    for command in app.registered_commands:
        function = command.callback
        if function is None:
            continue
        own = command.name or function.__name__
        annotations = get_type_hints(function, include_extras=True)
        for name, annotation in annotations.items():
            entry = _TABLE.get(f"{own} {name}") or _TABLE.get(name)
            for info in get_args(annotation)[1:]:
                if entry is not None and isinstance(info, OptionInfo | ArgumentInfo):
                    info.autocompletion = _completion(*entry)
        function.__annotations__ = annotations


def _completion(values: Values, files: str) -> Callable[[typer.Context, str], list[str]]:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        found = [value for value in values(ctx) if value.startswith(incomplete)]
        return found + (_paths(incomplete) if files else [])

    return complete


def _paths(incomplete: str) -> list[str]:
    """Files and folders that a path may go on with."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(f"{folder}/" if folder or incomplete.startswith("/") else ".").expanduser()
    try:
        names = sorted(entry.name + "/" * entry.is_dir() for entry in place.iterdir())
    except OSError:
        return []
    before = incomplete[: len(incomplete) - len(start)]
    return [before + name for name in names if name.startswith(start) and (start or name[0] != ".")]
