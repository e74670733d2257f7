"""Small models that come with the package: where they are, and those that commands use when none is named.

Nothing is imported here that takes time, so that ``--help`` and completion can use it.
"""

from __future__ import annotations

from pathlib import Path

SHIPPED_MODELS = Path(__file__).parent / "models"
"""Folder of their folders; their names can be given like paths."""

VOICE_TYPE_MODEL = SHIPPED_MODELS / "playroom-real"
"""Model for voice types and representations."""

TASKS_MODEL = SHIPPED_MODELS / "playroom"
"""Model for all that is asked about segments: addressees, phonemes, vocalisations."""


def shipped_models() -> tuple[str, ...]:
    """Their names."""
    return tuple(sorted(folder.name for folder in SHIPPED_MODELS.iterdir() if (folder / "config.json").is_file()))
