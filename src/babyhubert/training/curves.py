"""Log of a run: lines of JSON, event files for TensorBoard, a table and a plot of the curves.

``log.jsonl`` is the record; the others are made from it. If a run continues from step s, lines after s are dropped, so
that no step is logged twice.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babyhubert.errors import MissingExtraError
from babyhubert.files import atomic_path, explain_os_error, make_folder, write_text

Entry = Mapping[str, Any]


class Curves:
    """The curves of a run folder.

    Args:
        folder: The run folder.
        resumed_at: Step from which the run continues; later entries are dropped.
        tensorboard: Also write event files (below ``tensorboard/``).

    Raises:
        MissingExtraError: event files are requested and tensorboardX is not installed.
    """

    def __init__(self, folder: Path, resumed_at: int = 0, *, tensorboard: bool = True) -> None:
        self.path = folder / "log.jsonl"
        self._folder = make_folder(folder)
        self.entries = [entry for entry in read_log(self.path) if entry["step"] <= resumed_at]
        write_text(self.path, "".join(json.dumps(entry) + "\n" for entry in self.entries))
        self._events = _event_writer(folder / "tensorboard", resumed_at) if tensorboard else None

    def add(self, entry: Entry) -> None:
        """Append an entry; it holds ``step``, and numbers by name (``train/loss``)."""
        self.entries.append(dict(entry))
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise explain_os_error(self.path, error) from error
        if self._events is not None:
            for name, value in entry.items():
                if name != "step" and isinstance(value, int | float):
                    self._events.add_scalar(name, value, entry["step"])

    def close(self) -> None:
        """Flush event files."""
        if self._events is not None:
            self._events.close()

    def write_table(self) -> None:
        """Write ``curves.csv``: one row per entry, one column per name."""
        names = list(dict.fromkeys(name for entry in self.entries for name in entry))
        text = io.StringIO()
        table = csv.DictWriter(text, names, lineterminator="\n")
        table.writeheader()
        table.writerows(self.entries)
        write_text(self._folder / "curves.csv", text.getvalue())

    def draw(self, panels: Sequence[tuple[str, Sequence[str]]], chance: Mapping[str, float] | None = None) -> None:
        """Draw ``curves.png``: one panel per title, one line per name.

        Args:
            panels: Title and names of each panel; names without values are skipped.
            chance: A level to mark in the panel of that title.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return  # the table and the log hold the same; a run must not fail for its picture
        rows = (len(panels) + 1) // 2
        figure = Figure(figsize=(11, 2.6 * rows))
        grid = figure.subplots(rows, 2, squeeze=False).ravel()
        figure.subplots_adjust(0.06, 0.2 / rows, 0.985, 1 - 0.12 / rows, 0.14, 0.45)  # a layout engine draws twice
        for axis, (title, names) in zip(grid, panels, strict=False):
            for name in names:
                points = [(entry["step"], entry[name]) for entry in self.entries if name in entry]
                if points:
                    axis.plot(*zip(*points, strict=True), label=name, linewidth=1.2)
            if chance and title in chance:
                axis.axhline(chance[title], color="0.5", linestyle=":", linewidth=1, label="chance")
            axis.set_title(title, fontsize=10)
            axis.set_xlabel("step", fontsize=8)
            axis.tick_params(labelsize=8)
            axis.grid(alpha=0.25)
            if axis.lines:
                axis.legend(fontsize=7)
        for axis in grid[len(panels) :]:
            axis.set_visible(False)
        with atomic_path(self._folder / "curves.png") as temporary:
            figure.savefig(temporary, dpi=110)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the entries of a log; an incomplete last line of a killed run is skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries


def _event_writer(folder: Path, resumed_at: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise MissingExtraError("TensorBoard event files (or set tensorboard = false)", "pretrain") from None
    return SummaryWriter(str(folder), purge_step=resumed_at + 1 if resumed_at else None)
