"""Parquet tables with a fixed schema, written whole, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from babyhubert.errors import CorpusError, MissingExtraError
from babyhubert.files import atomic_path


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("reading and writing Parquet tables", "pretrain") from None
    return pyarrow


def write_table(
    path: Path, columns: Mapping[str, Any], types: Mapping[str, str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a table.

    Args:
        path: Final name.
        columns: Arrays or lists of equal length by name.
        types: Arrow type by column name (``int64``, ``string``, ``double``, ``bool`` ...), in the order of the file.
        metadata: Texts that travel in the file.
    """
    arrow = _pyarrow()
    schema = arrow.schema([(name, _type(arrow, kind)) for name, kind in types.items()], metadata=dict(metadata or {}))
    table = arrow.table({name: columns[name] for name in types}, schema=schema)
    with atomic_path(path) as temporary:
        arrow.parquet.write_table(table, temporary, compression="zstd")


def table_columns(path: Path) -> list[str]:
    """Names of a table's columns.

    Raises:
        CorpusError: absent or damaged.
    """
    arrow = _pyarrow()
    try:
        return list(arrow.parquet.read_schema(path).names)
    except (arrow.ArrowException, OSError) as error:
        raise CorpusError(f"{path}: not a Parquet table, or cut short ({' '.join(str(error).split())})") from error


def read_table(path: Path, columns: Sequence[str]) -> dict[str, Any]:
    """Columns of a table: numpy arrays, lists of text for text columns.

    Raises:
        CorpusError: absent, damaged, or without one of the columns.
    """
    arrow = _pyarrow()
    try:
        table = arrow.parquet.read_table(path)
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such table; run the step before this one first") from None
    except (arrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path}: not a Parquet table, or cut short ({reason}); make it again") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        there = ", ".join(table.column_names)
        raise CorpusError(f"{path}: no column {', '.join(missing)} (there are {there}); make it again")
    return {
        name: _texts(table[name])
        if arrow.types.is_string(table[name].type)
        else table[name].to_numpy(zero_copy_only=False)
        for name in columns
    }


def _texts(column: Any) -> list[str | None]:
    """A text column, each distinct text held once: millions of rows name a few thousand recordings."""
    encoded = column.combine_chunks().dictionary_encode()
    texts = [*encoded.dictionary.to_pylist(), None]
    return [texts[code] for code in encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).tolist()]


def _type(arrow: Any, kind: str) -> Any:
    return arrow.type_for_alias(kind)
