"""Minutes of each voice type that a run found, and the machine that found them, to be corrected with other rates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from babyhubert.annotation.segments import VOICE_TYPES
from babyhubert.errors import AnnotationError, BabyHubertError
from babyhubert.evaluation.estimate_files import JSON_FILE
from babyhubert.evaluation.transfer_report import Minutes
from babyhubert.exchange.clip_counts import measure_whole
from babyhubert.exchange.clips import read_json
from babyhubert.exchange.recordings import Failure
from babyhubert.measures.results import RunResults
from babyhubert.timebase import SAMPLE_RATE

_NAMES = [f"{voice.lower()}_speech_min" for voice in VOICE_TYPES]


def machine_minutes(results: RunResults) -> tuple[Minutes, list[Failure]]:
    """Minutes of each voice type in every recording of a run; recordings that cannot be read.

    Raises:
        AnnotationError: none can be read.
    """
    names, hours, found, failures = [], [], [], []
    for name in results.audio:
        try:
            result = results.read(name)
            if result.samples <= 0:
                raise AnnotationError(f"{name}: has no length")
        except BabyHubertError as error:
            failures.append(Failure(name, str(error)))
            continue
        names.append(name)
        hours.append(result.samples / SAMPLE_RATE / 3600)
        found.append(measure_whole(result, _NAMES))
    if not names:
        raise AnnotationError(f"{results.folder}: no recording can be read")
    return Minutes(names, np.array(hours), _NAMES, np.stack(found)), failures


def machine_of(results: RunResults) -> dict[str, Any]:
    """Model and settings of a run, for the record of rates that hold for these."""
    model, settings = results.run.get("model"), results.run.get("settings")
    return {
        "model_sha256": model.get("sha256") if isinstance(model, Mapping) else None,
        "thresholds": settings.get("thresholds") if isinstance(settings, Mapping) else None,
    }


def check_machine(rates: Path, results: RunResults) -> list[str]:
    """Notes on rates whose machine is not known to be that of a run.

    Raises:
        AnnotationError: they are of another model, or of other thresholds.
    """
    about = read_json(rates.parent / JSON_FILE)
    known = about.get("machine") if isinstance(about, dict) else None
    if not isinstance(known, dict):
        return [
            f"{rates}: no {JSON_FILE} beside it tells of which model the rates are; they are taken to be of this one"
        ]
    for name, value in machine_of(results).items():
        if value is not None and known.get(name) not in (None, value):
            what = "another model" if name == "model_sha256" else "other thresholds"
            raise AnnotationError(
                f"{rates}: the rates are of {what} than the segments of {results.folder}; annotate clips of a run "
                "with these, or run 'babyhubert segment' as there"
            )
    return []
