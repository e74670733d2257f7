"""Files of measures: ``measures.csv`` by recording, ``hourly.csv`` by hour, ``measures.json`` (settings)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.config import build_config
from babyhubert.errors import ConfigError
from babyhubert.files import csv_text, write_json, write_text
from babyhubert.measures.hours import format_time_of_day
from babyhubert.measures.tables import WARNINGS, MeasureSettings, RecordingMeasures, columns
from babyhubert.measures.turns import LENA_PAUSE, SIMPLE_INTERVAL
from babyhubert.runs.derived import note_derived, results_state
from babyhubert.timebase import samples_to_seconds
from babyhubert.version import __version__

NOT_AVAILABLE = "NA"
ABOUT_RECORDING = ("recording_id", "start_time")
ABOUT_HOUR = ("recording_id", "hour", "hour_kind", "day")
_DECIMALS = 4


def earlier_settings(folder: Path) -> MeasureSettings:
    """Settings of the last ``babyhubert measures`` of a folder, so that all tables agree; else the defaults."""
    path = folder / "measures.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["settings"]
        return build_config(
            {k: told[k] for k in MeasureSettings.model_fields if k in told}, MeasureSettings, str(path)
        )
    except (OSError, ValueError, KeyError, TypeError, ConfigError):
        return MeasureSettings()


def write_measures(folder: Path, measured: Sequence[RecordingMeasures], settings: MeasureSettings) -> None:
    """Write ``measures.csv``, ``hourly.csv`` and ``measures.json`` into an output folder."""
    state = results_state(folder)
    names = list(measured[0].whole) if measured else columns()
    write_text(folder / "measures.csv", format_table(ABOUT_RECORDING, names, recording_rows(measured)))
    write_text(folder / "hourly.csv", format_table(ABOUT_HOUR, names, hour_rows(measured)))
    write_json(
        folder / "measures.json",
        {
            "babyhubert": __version__,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "recordings": len(measured),
            "settings": {
                **json.loads(settings.model_dump_json()),
                "lena_pause_s": samples_to_seconds(LENA_PAUSE),
                "simple_ctc_interval_s": samples_to_seconds(SIMPLE_INTERVAL),
                "chance": "key child's segments moved along a circle within each hour, one random shift an hour",
            },
        },
    )
    note_derived(folder, "measures", [folder / "measures.csv"], state=state)


def recording_rows(measured: Iterable[RecordingMeasures]) -> Iterable[dict[str, Any]]:
    """Rows of ``measures.csv``."""
    for one in measured:
        start = None if one.hours.start is None else format_time_of_day(one.hours.start)
        yield {"recording_id": one.recording_id, "start_time": start, **one.whole, WARNINGS: _told(one)}


def hour_rows(measured: Iterable[RecordingMeasures]) -> Iterable[dict[str, Any]]:
    """Rows of ``hourly.csv``."""
    for one in measured:
        clock = "elapsed" if one.hours.start is None else "clock"
        for index, (name, day) in enumerate(zip(one.hours.names, one.hours.days, strict=True)):
            about = {"recording_id": one.recording_id, "hour": name, "hour_kind": clock, "day": day}
            yield about | {column: values[index] for column, values in one.hourly.items()} | {WARNINGS: _told(one)}


def _told(one: RecordingMeasures) -> str:
    """Warnings about a recording; empty if there are none."""
    return "; ".join(one.warnings)


def format_table(about: Sequence[str], names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Text of a table of measures: columns about the row, those of measures, and warnings."""
    header = [*about, *names, WARNINGS]
    return csv_text([header, *([_format(row.get(name, "")) for name in header] for row in rows)])


def _format(value: Any) -> str:
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, str):
        return value
    number = float(value)
    if np.isnan(number):
        return NOT_AVAILABLE
    return str(rounded(number))


def rounded(number: float) -> float | int:
    """A number with the decimals that tables have; a whole one as an integer."""
    return round(number) if number.is_integer() else round(number, _DECIMALS)
