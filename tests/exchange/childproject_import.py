"""Run by a Python that has ChildProject: imports sets with its own command and prints what came of them, as JSON.

``python childproject_import.py PROJECT SPEC.json``: SPEC holds ``tables`` (paths of import tables) and ``metrics``
(names of sets). Prints, by set and recording, the segments that the importer made, and ChildProject's own metrics.
"""

import json
import sys
from pathlib import Path

import pandas as pd
import parselmouth
from ChildProject import cmdline
from ChildProject.annotations import AnnotationManager
from ChildProject.pipelines.metrics import Metrics
from ChildProject.projects import ChildProject


def import_tables(project: Path, tables: list[str]) -> None:
    """Each as ``child-project import-annotations`` does; its entry point can be called once only."""
    calls = [["import-annotations", str(project), "--annotations", table, "--threads", "1"] for table in tables]
    sys.argv = ["child-project", *calls[0]]
    cmdline.main()
    for call in calls[1:]:
        arguments = cmdline.parser.parse_args(call)
        arguments.func(arguments)


def main() -> None:
    path, spec = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    import_tables(path, spec["tables"])
    project = ChildProject(path)
    project.read()
    manager = AnnotationManager(project)
    errors, warnings = manager.read()
    found = {"errors": errors, "warnings": warnings, "segments": {}, "metrics": {}, "validation": []}
    found["validation"], _ = manager.validate()
    for row in manager.annotations.to_dict(orient="records"):
        file = path / "annotations" / row["set"] / "converted" / row["annotation_filename"]
        segments = pd.read_csv(file, keep_default_na=False)
        rows = json.loads(segments.to_json(orient="records"))
        found["segments"].setdefault(row["set"], {})[row["recording_filename"]] = rows
    for name in spec["metrics"]:
        wanted = pd.DataFrame(
            [{"callable": "voc_dur_speaker_ph", "set": name, "speaker": speaker} for speaker in ("CHI", "FEM")]
        )
        metrics = Metrics(project, wanted, by="recording_filename").extract()
        found["metrics"][name] = json.loads(metrics.to_json(orient="records"))
    found["sets"] = json.loads(manager.get_sets_metadata().to_json(orient="index"))
    found["praat"] = {name: praat_intervals(name) for name in spec["textgrids"]}
    print("RESULT " + json.dumps(found))


def praat_intervals(path: str) -> list:
    """Intervals with text as Praat itself reads them, in seconds."""
    grid = parselmouth.read(path)
    count = parselmouth.praat.call(grid, "Get number of tiers")
    found = []
    for tier in range(1, count + 1):
        name = parselmouth.praat.call(grid, "Get tier name", tier)
        for number in range(1, parselmouth.praat.call(grid, "Get number of intervals", tier) + 1):
            text = parselmouth.praat.call(grid, "Get label of interval", tier, number)
            if text:
                start = parselmouth.praat.call(grid, "Get start time of interval", tier, number)
                end = parselmouth.praat.call(grid, "Get end time of interval", tier, number)
                found.append([name, start, end, text])
    return found


main()
