"""``babyhubert models``: the models that commands take by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from babyhubert.cli.options import SPEED_NAMES, DeviceOption, SpeedOption

if TYPE_CHECKING:
    from babyhubert.tasks.catalogue import CatalogueModel

_ORIGINS = {
    "package": "in the package",
    "released": "released, on the Hugging Face hub",
    "cache": "others in the cache of the hub",
}


def models(
    name: Annotated[
        str | None, typer.Argument(help="Show one model in detail.", metavar="[NAME]", show_default=False)
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure", help="Measure the speed of each model that is here, on this machine: seconds."
        ),
    ] = True,
    speed: SpeedOption = "exact",
    device: DeviceOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Output for programs: one line of JSON per model.")] = False,
) -> None:
    """List the models that --model takes by name: tasks, size, speed here, whether downloaded, terms.

    Nothing is downloaded. Any model folder or checkpoint file works as well, by its path.

    Example: babyhubert models coml/VTC-2
    """
    import json

    from babyhubert.cli.options import check_choice
    from babyhubert.tasks.catalogue import catalogue, find_model

    mode = check_choice("--speed", speed, SPEED_NAMES)
    found = catalogue() if name is None else [find_model(name)]
    speeds = _speeds(found, mode, device) if measure else {}
    if as_json:
        for model in found:
            typer.echo(
                json.dumps({**model.as_record(), "times_real_time": speeds.get(model.name)}, ensure_ascii=False)
            )
    elif name is not None:
        _detail(found[0], speeds.get(name))
    else:
        _table(found, speeds)


def _speeds(models: list[CatalogueModel], speed: str, device: str) -> dict[str, float]:
    """Speed of each model that is here, as a multiple of real time; models of one shape are measured once."""
    from babyhubert.compute.device import resolve_device
    from babyhubert.inference.throughput import pass_of

    place, by_shape, found = resolve_device(device), {}, {}
    for model in models:
        shape = model.shape()
        if shape is None:
            continue
        if shape not in by_shape:
            by_shape[shape] = pass_of(*shape, speed, place).times_real_time()  # type: ignore[arg-type]
        found[model.name] = by_shape[shape]
    return found


def _table(models: list[CatalogueModel], speeds: dict[str, float]) -> None:
    for origin, title in _ORIGINS.items():
        group = [model for model in models if model.origin == origin]
        if not group:
            continue
        typer.echo(f"{title}:")
        rows = [
            (model.name, _tasks(model), _size(model), _speed(speeds.get(model.name)), model.use) for model in group
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            typer.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        for terms in dict.fromkeys(model.terms for model in group if model.terms and origin != "package"):
            typer.echo(f"  terms: {terms}")
    if speeds:
        typer.echo("x real time: hours of recording an hour on this machine, measured just now")
    typer.echo("details, terms and lineage of one: babyhubert models NAME")


def _detail(model: CatalogueModel, speed: float | None) -> None:
    from babyhubert.encoder.model_json import read_json

    lines = {
        "tasks": _tasks(model),
        "description": model.description,
        "size": _size(model) if model.folder else "",
        "speed": _speed(speed),
        "where": str(model.folder) if model.folder else "not downloaded",
        "page": model.page,
        "used by": model.use,
        "terms": model.terms or "not stated",
    }
    card = {}
    if model.folder is not None and (model.folder / "task.json").is_file():
        card = read_json(model.folder / "task.json")
    lines["thresholds"] = ", ".join(card.get("thresholds", {}))
    lines["trained on"] = str(card.get("trained_on", ""))
    typer.echo(model.name)
    for key, value in lines.items():
        if value:
            typer.echo(f"  {key:<13}{value}")
    for number, origin in enumerate(card.get("lineage", []), start=1):
        typer.echo(f"  {'lineage' if number == 1 else '':<13}{number}. {origin}")


def _tasks(model: CatalogueModel) -> str:
    return ", ".join(model.tasks) or "encoder"


def _size(model: CatalogueModel) -> str:
    if model.folder is None:
        return "not downloaded"
    parameters = "" if model.parameters is None else f"{model.parameters / 1e6:.1f} M parameters, "
    return parameters + ("" if model.size_bytes is None else f"{model.size_bytes / 1e6:.1f} MB")


def _speed(speed: float | None) -> str:
    return "" if speed is None else f"{speed:.0f} x real time"
