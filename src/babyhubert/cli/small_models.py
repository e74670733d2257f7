"""Message of commands that use a small model of the package because no model is named."""

from babyhubert.cli.messages import say

_RELEASED = {
    "playroom-real": ": see https://huggingface.co/coml/VTC-2 (accept the terms, 'hf auth login', then {option} "
    "coml/VTC-2)",
}
_CARD = " (its card has its scores)"


def print_small_model(name: str, option: str = "--model") -> None:
    """Print to stderr that a small model is used, its purpose, and the released model to use instead, if there is one.

    Args:
        name: The model of the package.
        option: Option that names another model.
    """
    released = _RELEASED.get(name, _CARD).format(option=option)
    say(
        f"note: no {option} given: using {name}, a small model that comes with the package. It shows how everything "
        f"works and is no substitute for the released weights{released}",
        err=True,
    )
