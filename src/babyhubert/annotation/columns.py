"""Columns of a segments table that hold results of tasks: their classes, tiers and codes in other tools.

The published columns are in :data:`COLUMNS`. Those of other tasks are described by the run that filled them
(``run.json``) and, beside files that cannot hold the description themselves, by ``task_columns.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from babyhubert.annotation.segments import Segments
from babyhubert.annotation.table_columns import BABAR, COMBINED, SYMBOLS, UTTERANCE, Layout
from babyhubert.errors import AnnotationError, ConfigError
from babyhubert.files import write_json

COLUMNS_FILE = "task_columns.json"
ColumnKind = Literal["text", "classification", "ctc"]


COMMANDS = {"classification": "classify", "ctc": "phonemes"}
"""Commands that run tasks which are not published, by kind."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: In tables.
        tier: Prefix of its tiers, before the name of the voice's tier (``xds@FA0``, as in ACLEW transcripts).
        task: The task that fills it, which names its files; empty if no task of this package does.
        kind: ``classification``: one of some classes; ``ctc``: symbols with spaces between; ``text``: anything.
        classes: The classes, if known.
        codes: Codes of the classes in other tools; classes without one keep their names.
        voices: Labels of the segments that the task is asked about; empty: all.
        flags: Fields of ChildProject's ``metannots.yml`` that tell of it.
    """

    name: str
    tier: str
    task: str = ""
    kind: ColumnKind = "text"
    classes: tuple[str, ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    voices: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that fills it, as a user types it."""
        return self.task if self in COLUMNS else f"{COMMANDS.get(self.kind, self.kind)} --task {self.task}"

    def code_of(self, value: str) -> str:
        """Name of a class in other tools."""
        return dict(self.codes).get(value, value)

    def value_of(self, code: str) -> str:
        """Class by its name in other tools."""
        return {code: value for value, code in self.codes}.get(code, code)

    def applies_to(self, segments: Segments) -> NDArray[np.bool_]:
        """Mask of the segments that the task predicts, bool (S,)."""
        if not self.voices:
            return np.ones(len(segments), dtype=bool)
        return np.isin(segments.label.astype(str), self.voices)

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "task": self.task,
            "kind": self.kind,
            "column": self.name,
            "classes": list(self.classes),
            "voices": list(self.voices),
            "tier": self.tier,
            "codes": dict(self.codes),
        }


ADDRESSEE = Column(
    "addressee",
    "xds@",
    "addressee",
    "classification",
    ("KCDS", "OCDS", "ADS", "Other"),
    (("KCDS", "T"), ("OCDS", "C"), ("ADS", "A"), ("Other", "O")),
    ("FEM", "MAL"),
    ("has_addressee",),
)
"""Codes: to the target child, to other children, to adults, to anybody else, as ChildProject and ACLEW have them."""

PHONEMES = Column("phonemes", "phonemes_", "phonemes", "ctc", voices=("KCHI",))
"""Its tiers go without ``@``: ChildProject's .eaf importer (0.4.6) fails on a tier ``...@CHI`` that is none of its
own."""

UNSURE = Column("unsure", "unsure_")
"""Segments that the person who annotated them is not sure of: ``unsure``, else empty."""

NOTE = Column("note", "note_")
"""Remark of a person on a segment."""

COLUMNS = (
    ADDRESSEE,
    Column("vcm_type", "vcm@"),
    Column("lex_type", "lex@"),
    Column("mwu_type", "mwu@"),
    Column("msc_type", "msc@"),
    PHONEMES,
    UNSURE,
    NOTE,
)
"""Columns that every reader knows, in the order of their tiers."""

CONFIDENCE_TIER = Column("confidence", "confidence@")
"""Confidences of segments as tiers, on request: ChildProject's .eaf importer does not know them."""

_RESERVED = frozenset(
    {
        *("uid", "start_time_s", "duration_s", "label", "confidence", "transcription", "speaker_type", "speaker"),
        *("segment_onset", "segment_offset", "recording_id", "recording_filename", "filename", "onset", "offset"),
        *("start_s", "end_s", "uri", "duration", "start", "end", "vtc"),
    }
)
"""Columns of tables that mean something else; ``vtc`` is a set of its own in ChildProject projects."""

_NOT_IN_NAMES = frozenset('@,;:"/\\|<>*?')


def check_column(name: str, where: str) -> str:
    """A name for a column of a task.

    Raises:
        ConfigError: it means something else in tables, or cannot stand in a header and in the name of a tier.
    """
    begins = name[:1].isalpha() or name[:1] == "_"
    fits = begins and name.strip() == name and len(name) <= 60 and name.isprintable() and not set(name) & _NOT_IN_NAMES
    if not fits:
        raise ConfigError(f"{where}: {name!r} is no name of a column; write letters, digits and _")
    if name in _RESERVED or name.startswith("p_"):
        raise ConfigError(f"{where}: the column {name} means something else in tables; choose another name")
    return name


def column_of_task(task: str, kind: ColumnKind, classes: Sequence[str], card: Mapping[str, Any]) -> Column:
    """The column that a model's task fills.

    Args:
        task: Its name.
        kind: Of its head.
        classes: Of its head.
        card: What the model's ``task.json`` says of it.

    Raises:
        ConfigError: what the card says cannot be.
    """
    known = next((column for column in COLUMNS if column.task == task), None)
    name = card.get("column", task if known is None else known.name)
    if known is not None and name == known.name:
        return known
    record = {
        "task": task,
        "kind": kind,
        "column": name,
        "classes": list(classes) if kind == "classification" else [],
        "voices": card.get("voices", []),
        "tier": card.get("tier", _own_tier(name)),
        "codes": card.get("codes", {}),
    }
    try:
        return read_column(record, f"task {task} of the model")
    except AnnotationError as error:
        raise ConfigError(str(error)) from None


def layout_of_all(task: str) -> Layout:
    """Layout of a task's table of all recordings, ``rttm_<task>.csv``: that of addressees is published."""
    return COMBINED if task == ADDRESSEE.task else UTTERANCE


def layout_of_symbols(task: str) -> Layout:
    """Layout of the table of utterances of a task that writes symbols: that of phonemes is published."""
    return BABAR if task == PHONEMES.task else SYMBOLS


def read_column(record: object, where: str) -> Column:
    """A column from what :meth:`Column.as_record` said of it.

    Raises:
        AnnotationError: it says no such thing.
    """
    if not isinstance(record, Mapping):
        raise AnnotationError(f"{where}: no description of a column")
    task, kind = record.get("task"), record.get("kind")
    name, tier = record.get("column"), record.get("tier")
    classes, voices, codes = record.get("classes", []), record.get("voices", []), record.get("codes", {})
    if not (isinstance(task, str) and task.isascii() and task.isidentifier() and len(task) <= 60):
        raise AnnotationError(f"{where}: task is {task!r}; letters, digits and _ are needed")
    if kind not in ("classification", "ctc"):
        raise AnnotationError(f"{where}: kind is {kind!r}; classification or ctc is needed")
    for key, texts in (("classes", classes), ("voices", voices)):
        if not (isinstance(texts, list) and all(isinstance(text, str) and text for text in texts)):
            raise AnnotationError(f"{where}: {key} is {texts!r}; a list of texts is needed")
    if not (isinstance(codes, Mapping) and all(isinstance(t, str) and t for pair in codes.items() for t in pair)):
        raise AnnotationError(f"{where}: codes is {codes!r}; a table of texts is needed")
    if not isinstance(name, str):
        raise AnnotationError(f"{where}: column is {name!r}; a text is needed")
    try:
        check_column(name, where)
        check_tier(tier, name, where)
        check_codes(classes, codes, where)
    except ConfigError as error:
        raise AnnotationError(str(error)) from None
    return Column(name, str(tier), task, kind, tuple(classes), tuple(codes.items()), tuple(voices))


def _own_tier(name: object) -> str:
    """Beginning of the names of a column's tiers by default; that of ACLEW transcripts for their columns."""
    return next((column.tier for column in COLUMNS if column.name == name and not column.task), f"{name}@")


def command_of(task: str, about: Mapping[str, Any]) -> str:
    """The command that runs a task, as a user types it.

    Args:
        task: Name of the task, which is the command itself of those that are published.
        about: What its run says of itself.
    """
    with suppress(AnnotationError):
        return read_column(about.get("task"), "").command
    return task


def check_tier(tier: object, name: str, where: str) -> None:
    """Check that tiers of a task differ from those of voices.

    Raises:
        ConfigError: they cannot.
    """
    if not (isinstance(tier, str) and 1 < len(tier) <= 60 and tier[-1] in "@_" and tier.isprintable()):
        raise ConfigError(f"{where}: tier is {tier!r}; end it with @ or _, such as 'voc@'")
    if "@" in tier[:-1] or tier[:-1].strip() != tier[:-1]:
        raise ConfigError(f"{where}: tier is {tier!r}; one @, at its end")
    taken = next((column.name for column in COLUMNS if column.tier == tier), None)
    if taken is not None and tier != _own_tier(name):
        raise ConfigError(f"{where}: tiers {tier} are those of {taken}; choose another beginning")


def check_codes(classes: Iterable[str], codes: Mapping[str, str], where: str) -> None:
    """See that every code means one class.

    Raises:
        ConfigError: a code is of no class, or two classes would be written alike.
    """
    classes = list(classes)
    unknown = [value for value in codes if value not in classes]
    if unknown:
        raise ConfigError(f"{where}: codes has {unknown[0]}, which is no class ({', '.join(classes)})")
    owners: dict[str, str] = {}
    for value in classes:
        code = codes.get(value, value)
        if owners.setdefault(code, value) != value:
            raise ConfigError(f"{where}: {owners[code]} and {value} are both written {code}; give them other codes")


def with_columns(found: Iterable[Column]) -> tuple[Column, ...]:
    """The published columns and others, each with a name and tiers of its own.

    A task may fill a published column that none of ours fills. A column whose name another task's has takes the name
    of its own task, and the tiers of that name.
    """
    columns = list(COLUMNS)
    for column in found:
        place = next((n for n, other in enumerate(columns) if other.name == column.name and not other.task), None)
        if place is not None:
            columns[place] = column
            continue
        names, tiers = {other.name for other in columns}, {other.tier for other in columns}
        choices = (column.name, column.task, *(f"{column.task}_{number}" for number in range(2, len(columns) + 3)))
        name = next(choice for choice in choices if choice not in names)
        tier = column.tier if column.tier not in tiers and name == column.name else f"{name}@"
        columns.append(replace(column, name=name, tier=tier))
    return tuple(columns)


def described(columns: Iterable[Column]) -> tuple[Column, ...]:
    """The columns that not every reader knows."""
    return tuple(column for column in columns if column not in COLUMNS)


def write_columns(folder: Path, columns: Iterable[Column]) -> None:
    """Describe columns beside files that hold them; nothing is written where every reader knows them."""
    own = described(columns)
    if own:
        write_json(folder / COLUMNS_FILE, {"columns": [column.as_record() for column in own]})


def columns_beside(path: Path) -> tuple[Column, ...]:
    """The columns that a file or folder may hold, as the nearest ``task_columns.json`` at it or above it says.

    Raises:
        AnnotationError: that file is damaged.
    """
    path = Path(path).absolute()
    file = next((found for folder in (path, *path.parents) if (found := folder / COLUMNS_FILE).is_file()), None)
    if file is None:
        return COLUMNS
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        records = list(content["columns"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError(f"{file}: damaged ({error}); write it again, or delete it") from error
    return with_columns(read_column(record, str(file)) for record in records)


def other_column(name: str) -> Column:
    """A column that only its name tells of, as of a tier ``name@FA0`` that somebody made."""
    return Column(name, f"{name}@", name, "classification")


def is_column_name(name: str) -> bool:
    """Tell whether a tier's name may begin with it and mean a column."""
    try:
        check_column(name, "")
    except ConfigError:
        return False
    return True
