"""Calibrated probabilities: a temperature and a bias per class, applied to frame scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from babyhubert.config import read_toml, toml_key
from babyhubert.errors import ConfigError

_MOST = 1e6
"""Limit of a temperature or bias: beyond it all probabilities become 0 or 1."""
LEAST_LIKELY, MOST_LIKELY = 2.0**-25, 1 - 2.0**-12
"""Half the smallest float16 above 0, and half-way from the largest below 1: values that replace 0 and 1."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A correction of probabilities, class by class.

    Attributes:
        labels: C classes.
        temperature: Above 1 makes scores less extreme; float64, shape (C,).
        bias: Added to the logit, float64, shape (C,).
    """

    labels: tuple[str, ...]
    temperature: NDArray[np.float64]
    bias: NDArray[np.float64]

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
        """Calibrated probabilities.

        Args:
            probabilities: Shape (..., C), columns in the order of :attr:`labels`.

        Returns:
            float32, the same shape. Order within a class is kept, so segments do not change when thresholds go
            through the same correction.
        """
        return sigmoid(logit(probabilities) / self.temperature + self.bias).astype(np.float32)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Temperature and bias by class."""
        rows = zip(self.labels, self.temperature.tolist(), self.bias.tolist(), strict=True)
        return {label: {"temperature": temperature, "bias": bias} for label, temperature, bias in rows}

    def to_toml(self) -> str:
        """The text of a calibration file."""
        rows = self.to_dict().items()
        return "\n".join(
            f"[{toml_key(label)}]\n" + "".join(f"{name} = {value:.6g}\n" for name, value in own.items())
            for label, own in rows
        )


def read_calibration(path: Path, labels: Sequence[str]) -> Calibration:
    """Read a calibration file (TOML, a table per class with ``temperature`` and ``bias``) for the classes of a model.

    Raises:
        ConfigError: unreadable, a class unknown or missing, or an invalid value.
    """
    tables = read_toml(Path(path), "calibrations")
    if unknown := set(tables) - set(labels):
        raise ConfigError(f"{path}: unknown class '{min(unknown)}'; the model's classes are {', '.join(labels)}")
    pairs = [_read_pair(path, label, tables.get(label)) for label in labels]
    temperature, bias = np.array(pairs, dtype=np.float64).T
    return Calibration(tuple(labels), temperature, bias)


def _read_pair(path: Path, label: str, table: object) -> tuple[float, float]:
    if not isinstance(table, dict) or set(table) != {"temperature", "bias"}:
        raise ConfigError(f"{path}: class '{label}' needs a table [{label}] with temperature and bias alone")
    for key, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
            raise ConfigError(f"{path}: {key} of [{label}] is {value!r}, not a number")
    if table["temperature"] <= 0:
        raise ConfigError(f"{path}: temperature of [{label}] is {table['temperature']}; it must be above 0")
    return float(table["temperature"]), float(table["bias"])


def logit(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-odds; 0 and 1 are replaced by the nearest values that float16 rounding allows."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), LEAST_LIKELY, MOST_LIKELY)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of :func:`logit`."""
    return 0.5 * (1 + np.tanh(0.5 * logits))
