"""Folder of a person's analyses: what was started, with which options, and where its results are.

::

    analyses.json      one record for each analysis, newest first
    results/<name>/    results, the output folder of the command
    dropped/<name>/    recordings that were dropped on the page
    .processes/        number of the process and output of the command, of each analysis

The file is written whole, to a temporary name first: a machine that goes down leaves the one of before.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from babyhubert.errors import ConfigError, OutputError
from babyhubert.files import make_folder, write_json

ANALYSES = "analyses.json"


class Options(BaseModel):
    """Options of an analysis, as the page sends them.

    Attributes:
        model: Model folder, hub repository, or name of a model of the package; empty for the default.
        thresholds: Name of a set, or path of a file.
        speed: Mode of ``--speed``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(default="", max_length=4096)
    thresholds: str = Field(default="f1", max_length=4096)
    speed: Literal["exact", "balanced", "fast"] = "balanced"


class Analysis(BaseModel):
    """One analysis.

    Attributes:
        name: Name of its results folder, unique in the workspace.
        audio: Files and folders of recordings.
        output: Folder of its results.
        options: Its options.
        created: Time at which it was first started.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    audio: list[Path]
    output: Path
    options: Options
    created: str


class Workspace:
    """The analyses of a folder.

    Args:
        folder: The folder; made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        make_folder(self.folder)
        self._lock = threading.Lock()

    def analyses(self) -> list[Analysis]:
        """All analyses, newest first.

        Raises:
            OutputError: the file of analyses is damaged.
        """
        path = self.folder / ANALYSES
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return [Analysis.model_validate(each) for each in content["analyses"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise OutputError(f"{path}: cannot be read ({reason}); rename it, and the list begins anew") from error

    def find(self, name: str) -> Analysis:
        """The analysis of a name.

        Raises:
            ConfigError: there is none.
        """
        for analysis in self.analyses():
            if analysis.name == name:
                return analysis
        raise ConfigError(f"no analysis is called '{name}'")

    def add(self, name: str, audio: list[Path], options: Options) -> Analysis:
        """Add an analysis under a name that is free; the given one, or with a number."""
        with self._lock:
            known = self.analyses()
            taken = {each.name.casefold() for each in known}
            results = self.folder / "results"
            wanted = safe_name(name) or "analysis"
            free = next(
                each
                for each in (wanted, *(f"{wanted} {number}" for number in range(2, 10_000)))
                if each.casefold() not in taken and not (results / each).exists()
            )
            created = datetime.now().astimezone().isoformat(timespec="seconds")
            analysis = Analysis(name=free, audio=audio, output=results / free, options=options, created=created)
            self._write([analysis, *known])
        return analysis

    def replace(self, name: str, options: Options) -> Analysis:
        """Give an analysis other options."""
        with self._lock:
            changed = self.find(name).model_copy(update={"options": options})
            self._write([changed if each.name == name else each for each in self.analyses()])
        return changed

    def remove(self, name: str) -> None:
        """Take an analysis off the list; its results stay on the disk."""
        with self._lock:
            self.find(name)
            self._write([each for each in self.analyses() if each.name != name])

    def _write(self, analyses: list[Analysis]) -> None:
        write_json(self.folder / ANALYSES, {"analyses": [each.model_dump(mode="json") for each in analyses]})


def safe_name(name: str) -> str:
    """Name for a folder on any system: letters, digits, spaces and ``-_.()``; empty if none is left."""
    plain = unicodedata.normalize("NFC", name)
    kept = re.sub(r"[^\w \-_.()]+", "_", plain).strip(" ._")[:80].strip(" ._")
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
    return f"_{kept}" if kept.split(".")[0].casefold() in reserved else kept
