"""Message of commands that use the small model of the package because no model is named."""

from babyhubert.cli.messages import say
from babyhubert.shipped import SMALL_MODEL


def print_small_model(released: str | None = "coml/VTC-2", option: str = "--model") -> None:
    """Print to stderr that the small model is used, its purpose, and the released model to use instead.

    Args:
        released: Repository of the released weights on the hub; None: they have none.
        option: Option that names another model.
    """
    instead = (
        " (its card has its scores)"
        if released is None
        else f": see https://huggingface.co/{released} (accept the terms, 'hf auth login', then {option} {released})"
    )
    say(
        f"note: no {option} given: using {SMALL_MODEL.name}, a small model that comes with the package. It shows "
        f"how everything works and is no substitute for the released weights{instead}",
        err=True,
    )
