"""Output folders as ``segment``, ``addressee`` and ``phonemes`` leave them, written by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from babyhubert.annotation.csv_tables import COMBINED_HEADER, format_combined_rows, write_childproject_csv
from babyhubert.annotation.rttm import write_rttm
from babyhubert.annotation.segments import Segments
from babyhubert.files import write_json, write_text

HOUR_S = 3600


def random_rows(generator: np.random.Generator, count: int, seconds: float, mean_s: float = 1.0) -> list[tuple]:
    """Segments of the four voice types with ends on whole milliseconds, overlapping at will, sorted as files are."""
    start = generator.integers(0, int(seconds * 1000), count)
    length = np.minimum(generator.integers(0, int(2000 * mean_s), count), int(seconds * 1000) - start)
    label = generator.choice(["KCHI", "OCH", "MAL", "FEM"], count, p=[0.35, 0.15, 0.15, 0.35])
    return [
        (s, e, name)
        for s, e, name in Segments.from_rows(
            (int(s) * 16, int(s + d) * 16, str(name)) for s, d, name in zip(start, length, label, strict=True)
        )
    ]


def write_run(
    folder: Path,
    recordings: Mapping[str, Sequence[tuple[int, int, str]]],
    seconds: float | Mapping[str, float],
    *,
    paths: Mapping[str, Path] | None = None,
    failures: Sequence[tuple[str, str]] = (),
) -> Path:
    """What ``segment`` writes: csv, rttm, the combined table, run.json and failures.csv."""
    listed, table = [], COMBINED_HEADER
    for name, rows in recordings.items():
        segments = Segments.from_rows(rows)
        write_childproject_csv(folder / "csv" / f"{name}.csv", segments)
        write_rttm(folder / "rttm" / f"{name}.rttm", name, segments)
        table += format_combined_rows(name, segments)
        listed.append(
            {
                "recording_id": name,
                "path": str((paths or {}).get(name, Path("/nowhere") / f"{name}.wav")),
                "segments": len(segments),
                "duration_s": float(seconds[name] if isinstance(seconds, Mapping) else seconds),
                "channel": "mean",
                "warnings": [],
                "seconds": 1.0,
                "times_real_time": 100.0,
                "current_settings": True,
            }
        )
    write_text(folder / "rttm.csv", table)
    with (folder / "failures.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "error"), *failures])
    write_json(
        folder / "run.json",
        {
            "command": "segment",
            "began": "2026-11-01T08:00:00+00:00",
            "ended": "2026-11-01T08:10:00+00:00",
            "versions": {"babyhubert": "0.1.0"},
            "model": {
                "source": "coml/VTC-2",
                "sha256": "0" * 64,
                "classes": ["KCHI", "OCH", "MAL", "FEM"],
                "card": {"licence": "CC BY-NC 4.0", "lineage": ["BabyHuBERT"]},
            },
            "device": "cpu",
            "settings": {"thresholds": {"KCHI": 0.437, "OCH": 0.378, "MAL": 0.429, "FEM": 0.377}},
            "recordings": listed,
            "failures": [{"path": path, "error": error} for path, error in failures],
        },
    )
    return folder


def write_addressees(folder: Path, recordings: Mapping[str, Sequence[tuple[int, int, str, str]]]) -> None:
    """What ``addressee`` writes: the combined table with one more column."""
    lines = ["uid,start_time_s,duration_s,label,addressee\n"]
    for name, rows in recordings.items():
        lines += [f"{name},{s / 16000:.3f},{(e - s) / 16000:.3f},{label},{to}\n" for s, e, label, to in rows]
    write_text(folder / "rttm_addressee.csv", "".join(lines))


def write_phonemes(folder: Path, name: str, rows: Sequence[tuple[int, int, str]]) -> None:
    """What ``phonemes`` writes for one recording."""
    lines = ["filename,onset,offset,speaker,phonemes\n"]
    lines += [f"{name},{s / 16000:.3f},{e / 16000:.3f},KCHI,{phonemes}\n" for s, e, phonemes in rows]
    write_text(folder / "phonemes" / f"{name}.csv", "".join(lines))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
