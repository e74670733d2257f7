"""The small model that comes with the package: where it is, and that commands use it when none is named.

Nothing is imported here that takes time, so that ``--help`` and completion can use it.
"""

from __future__ import annotations

from pathlib import Path

SHIPPED_MODELS = Path(__file__).parent / "models"
"""Folder of their folders; their names can be given like paths."""

SMALL_MODEL = SHIPPED_MODELS / "playroom"
"""Model of every command that is given none."""


def shipped_models() -> tuple[str, ...]:
    """Their names."""
    return tuple(sorted(folder.name for folder in SHIPPED_MODELS.iterdir() if (folder / "config.json").is_file()))
