"""Our measures equal ChildProject's own wherever both define the same thing.

ChildProject pins an old pandas, so it runs in a Python of its own: set ``BABYHUBERT_CHILDPROJECT_PYTHON`` to one.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from results_folders import random_rows, read_rows, write_run

from commands import command

PYTHON = os.environ.get("BABYHUBERT_CHILDPROJECT_PYTHON", "")
NAMES = {"kchi": "chi", "och": "och", "mal": "mal", "fem": "fem"}
SECONDS = {"day": 3 * 3600.0 + 1234.5, "short": 600.0, "silent": 4000.0}
STARTS = {"day": "22:10:00", "short": "7:00:00", "silent": "12:30:00"}

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="BABYHUBERT_CHILDPROJECT_PYTHON names no Python that has ChildProject"
)


def within_hours(rows: list, start_s: int) -> list:
    """Only segments that neither cross a full hour nor sit so close that a turn would."""
    hour, margin = 3600 * 16000, 2 * 16000
    place = [((s + start_s * 16000) % hour, e - s) for s, e, _ in rows]
    return [row for row, (p, d) in zip(rows, place, strict=True) if margin < p and p + d < hour - margin]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("childproject")
    generator = np.random.default_rng(0)
    rows = {
        "day": within_hours(random_rows(generator, 3000, SECONDS["day"], mean_s=2), 22 * 3600 + 600),
        "short": random_rows(generator, 200, SECONDS["short"], mean_s=2),
        "silent": [],
    }
    out = write_run(folder / "out", rows, SECONDS)
    starts = folder / "starts.csv"
    lines = [f"{name},{time}\n" for name, time in STARTS.items()]
    starts.write_text("recording_id,start_time\n" + "".join(lines), encoding="utf-8")
    assert command("measures", out, "--start-times", starts, "--shuffles", 0).code == 0
    spec = {
        "recordings": [
            {
                "name": name,
                "duration_ms": round(SECONDS[name] * 1000),
                "start_time": STARTS[name],
                "csv": str(out / "csv" / f"{name}.csv"),
            }
            for name in rows
        ]
    }
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    script = Path(__file__).parent / "childproject_metrics.py"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(
        [PYTHON, str(script), str(folder / "project"), str(folder / "spec.json")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    result = [line for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    assert result, run.stderr[-2000:]
    return out, json.loads(result[0].removeprefix("RESULT "))


def test_a_recording(both):
    out, theirs = both
    ours = {row["recording_id"]: row for row in read_rows(out / "measures.csv")}
    assert len(theirs["whole"]) == 3
    for metrics in theirs["whole"]:
        row = ours[metrics["recording_filename"].removesuffix(".wav")]
        assert float(row["turns_simple_ctc"]) == metrics["simple_CTC"]
        assert float(row["turns_simple_ctc_per_hour"]) == pytest.approx(metrics["simple_CTC_ph"], abs=1e-3)
        for name, code in NAMES.items():
            assert float(row[f"{name}_segments"]) == metrics[f"voc_{code}"]
            assert float(row[f"{name}_speech_min"]) * 60_000 == pytest.approx(metrics[f"voc_dur_{code}"], abs=6)
            average = metrics[f"avg_voc_dur_{code}"]
            if average is None:
                assert row[f"{name}_segment_mean_s"] == "NA"
            else:
                assert float(row[f"{name}_segment_mean_s"]) * 1000 == pytest.approx(average, abs=0.06)
    silent = ours["silent"]
    assert silent["kchi_segments"] == silent["turns_simple_ctc"] == "0"


def test_an_hour_of_the_clock(both):
    out, theirs = both
    ours = {(row["recording_id"], row["hour"]): row for row in read_rows(out / "hourly.csv")}
    compared = 0
    for metrics in theirs["hours"]:
        row = ours.pop((metrics["recording_filename"].removesuffix(".wav"), metrics["period_start"][:5]), None)
        if row is None:
            assert metrics["duration_vtc"] == 0  # an hour without recording: they say NA, we have no row
            continue
        compared += 1
        assert float(row["duration_h"]) * 3_600_000 == pytest.approx(metrics["duration_vtc"], abs=200)
        assert float(row["turns_simple_ctc"]) == metrics["simple_CTC"]
        for name, code in NAMES.items():
            assert float(row[f"{name}_segments"]) == metrics[f"voc_{code}"]
            assert float(row[f"{name}_speech_min"]) * 60_000 == pytest.approx(metrics[f"voc_dur_{code}"], abs=6)
    assert compared == 7
    assert not ours
