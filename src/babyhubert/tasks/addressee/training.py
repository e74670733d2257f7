"""Training of the addressee task, an instance of utterance classification.

The published classes are ADS (to adults), KCDS (to the key child) and Other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from babyhubert.encoder.flavours.addressee import LABELS
from babyhubert.tasks.classification.training import ClassificationSettings

COLUMNS = ("addressee", "binary_classes")


class AddresseeSettings(ClassificationSettings):
    """``[addressee]``: the settings of a classification task, with the published ones as defaults.

    Attributes:
        data: Adult utterances with their addressee, in a column ``addressee`` or ``binary_classes``.
        column: Another column with the addressee.
        adults: Values of ``label`` or ``speaker_type`` that are adults, if there is such a column.
        longest_s: The published limit is 30 s.
    """

    adults: Sequence[str] = ("FEM", "MAL")
    labels: Sequence[str] = LABELS
    label_map: Mapping[str, str] = Field(default_factory=lambda: {"OCDS": "Other"})

    def output_column(self, task: str) -> str:
        """Name of the task, for any column of the data."""
        return task

    def data_columns(self, task: str) -> tuple[str, ...]:
        """The published columns, or the given one."""
        return (self.column,) if self.column else COLUMNS

    @property
    def input_voices(self) -> tuple[str, ...]:
        """Adults."""
        return tuple(self.voices or self.adults)
