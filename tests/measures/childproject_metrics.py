"""Run by a Python that has ChildProject: imports CSV files into a data set and prints ChildProject's own metrics.

``python childproject_metrics.py WORK SPEC.json``: SPEC holds ``recordings`` (name, length in ms, start_time, csv file
of the ``csv`` format). Prints a JSON object: metrics a recording, and a recording and clock hour.
"""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
from ChildProject.annotations import AnnotationManager
from ChildProject.pipelines.metrics import Metrics
from ChildProject.projects import ChildProject

VOICES = ("CHI", "OCH", "MAL", "FEM")


def make_project(work: Path, recordings: list[dict]) -> ChildProject:
    for name in ("metadata", "recordings/raw", "annotations/vtc/raw"):
        (work / name).mkdir(parents=True)
    pd.DataFrame([{"experiment": "e", "child_id": "1", "child_dob": "2020-01-01"}]).to_csv(
        work / "metadata" / "children.csv", index=False
    )
    rows = [
        {
            "experiment": "e",
            "child_id": "1",
            "date_iso": "2021-01-01",
            "start_time": recording["start_time"],
            "recording_device_type": "usb",
            "recording_filename": f"{recording['name']}.wav",
            "duration": recording["duration_ms"],
        }
        for recording in recordings
    ]
    pd.DataFrame(rows).to_csv(work / "metadata" / "recordings.csv", index=False)
    for recording in recordings:
        shutil.copyfile(recording["csv"], work / "annotations" / "vtc" / "raw" / f"{recording['name']}.csv")
    project = ChildProject(work)
    project.read()
    return project


def main() -> None:
    work, spec = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    project = make_project(work, spec["recordings"])
    manager = AnnotationManager(project)
    manager.read()
    table = pd.DataFrame(
        [
            {
                "set": "vtc",
                "recording_filename": f"{recording['name']}.wav",
                "time_seek": 0,
                "range_onset": 0,
                "range_offset": recording["duration_ms"],
                "raw_filename": f"{recording['name']}.csv",
                "format": "csv",
            }
            for recording in spec["recordings"]
        ]
    )
    manager.import_annotations(table)
    names = [("voc_speaker", v) for v in VOICES] + [("voc_dur_speaker", v) for v in VOICES]
    names += [("avg_voc_dur_speaker", v) for v in VOICES] + [("voc_speaker_ph", v) for v in VOICES]
    names += [("simple_CTC", pd.NA), ("simple_CTC_ph", pd.NA)]
    found = {}
    for kind, period in (("whole", None), ("hours", "1h")):
        wanted = pd.DataFrame([{"callable": c, "set": "vtc", "speaker": s} for c, s in names])
        metrics = Metrics(project, wanted, by="recording_filename", period=period).extract()
        found[kind] = json.loads(metrics.to_json(orient="records"))
    print("RESULT " + json.dumps(found))


main()
