"""What commands say when no model is named and a small one of the package runs instead of released weights."""

import typer

_RELEASED = {
    "playroom-nano": ": see https://huggingface.co/coml/VTC-2 (accept the terms, 'hf auth login', then {option} "
    "coml/VTC-2)",
}
_CARD = " (its card has its scores)"


def tell_small_model(name: str, option: str = "--model") -> None:
    """Say on stderr that a small model runs, what it is for, and where a released one is, if it is on the hub.

    Args:
        name: The model of the package.
        option: Which option would have named another.
    """
    released = _RELEASED.get(name, _CARD).format(option=option)
    typer.echo(
        f"note: no {option} given: using {name}, a small model that comes with the package. It shows how everything "
        f"works and is no substitute for the released weights{released}",
        err=True,
    )
