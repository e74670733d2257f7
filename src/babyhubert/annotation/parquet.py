"""Parquet tables with a fixed schema, written atomically, read strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from babyhubert.errors import CorpusError, MissingExtraError
from babyhubert.files import atomic_path

_ROWS, _ROWS_A_BYTE = 1_000_000, 64
_BYTES, _BYTES_A_BYTE = 1 << 28, 1000
"""Limit of a table's content: this number of bytes for a file of any size, or this multiple of its size."""


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
        metadata: Texts stored in the file.
    """
    arrow = _pyarrow()
    schema = arrow.schema([(name, _type(arrow, kind)) for name, kind in types.items()], metadata=dict(metadata or {}))
    table = arrow.table({name: columns[name] for name in types}, schema=schema)
    with atomic_path(path) as temporary:
        arrow.parquet.write_table(table, temporary, compression="zstd")


def table_columns(path: Path) -> list[str]:
    """Read the names of a table's columns.

    Raises:
        CorpusError: missing or damaged.
    """
    arrow = _pyarrow()
    with _explained(arrow, path):
        return list(_open(arrow, path).schema_arrow.names)


def read_table(path: Path, columns: Sequence[str]) -> dict[str, Any]:
    """Read columns of a table: numpy arrays, lists of text for text columns.

    Raises:
        CorpusError: missing, damaged, larger than its file can be, or without one of the columns.
    """
    arrow = _pyarrow()
    with _explained(arrow, path):
        file = _open(arrow, path)
        there = list(file.schema_arrow.names)
        missing = [name for name in columns if name not in there]
        if missing:
            named = ", ".join(there)
            raise CorpusError(f"{path}: no column {', '.join(missing)} (there are {named}); make it again")
        table = file.read(columns=list(dict.fromkeys(columns)), use_threads=False)
        table.validate(full=True)
        return {
            name: _texts(table[name])
            if arrow.types.is_string(table[name].type)
            else table[name].to_numpy(zero_copy_only=False)
            for name in columns
        }


@contextmanager
def _explained(arrow: Any, path: Path) -> Iterator[None]:
    """Explain an error of a file in one sentence that names it."""
    try:
        yield
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such table; run the step before this one first") from None
    except (arrow.ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise CorpusError(f"{path}: not a Parquet table, or cut short ({reason}); make it again") from error


def _open(arrow: Any, path: Path) -> Any:
    """Open a file whose announced content is plausible for its size: a row takes more than a bit, compressed."""
    path = Path(path)
    size = path.stat().st_size
    if not path.is_file():
        raise CorpusError(f"{path}: not a regular file (a folder, pipe or device); give a Parquet table")
    file = arrow.parquet.ParquetFile(path)
    about = file.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    expanded = sum(group.total_byte_size for group in groups)
    if rows != about.num_rows or not 0 <= rows <= _ROWS + _ROWS_A_BYTE * size:
        raise CorpusError(f"{path}: announces {about.num_rows} rows, which {size} bytes cannot hold; make it again")
    if expanded > _BYTES + _BYTES_A_BYTE * size:
        raise CorpusError(f"{path}: announces {expanded} bytes of content in a file of {size}; make it again")
    return file


def _texts(column: Any) -> list[str | None]:
    """Read a text column, storing each distinct text once: millions of rows name a few thousand recordings."""
    encoded = column.combine_chunks().dictionary_encode()
    texts = [*encoded.dictionary.to_pylist(), None]
    return [texts[code] for code in encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).tolist()]


def _type(arrow: Any, kind: str) -> Any:
    return arrow.type_for_alias(kind)
