"""Frame arrays on disk that grow while they are computed and appear only when complete.

An array is a plain ``.npy`` (open it with ``numpy.load(path, mmap_mode="r")``). Rows are appended to a temporary file
whose header, of fixed size, gets the final number of rows at the end; then the file is renamed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from babyhubert.files import explain_os_error, make_folder, temporary_beside

_HEADER_BYTES = 128


class FrameWriter:
    """Writes the rows of one array as they arrive.

    Args:
        path: Final name, ending in ``.npy``.
        dtype: Stored type; rows are converted.

    Raises:
        OutputError: the file cannot be created or written.
    """

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        self.path = Path(path)
        self.rows = 0
        self._dtype = np.dtype(dtype)
        self._trailing: tuple[int, ...] | None = None
        make_folder(self.path.parent)
        self._temporary = temporary_beside(self.path)
        try:
            self._file: BinaryIO = self._temporary.open("wb")
            self._file.write(b"\0" * _HEADER_BYTES)
        except OSError as error:
            raise explain_os_error(self.path, error) from error

    def append(self, rows: NDArray) -> None:
        """Append rows, shape (N, ...); all calls agree on all but N."""
        if self._trailing is None:
            self._trailing = rows.shape[1:]
        if rows.shape[1:] != self._trailing:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit an array of rows {self._trailing}")
        try:
            self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).tobytes())
        except OSError as error:
            raise explain_os_error(self.path, error) from error
        self.rows += len(rows)

    def finish(self, trailing: tuple[int, ...]) -> None:
        """Complete the file and give it its name. ``trailing``: row shape of an array that got no row."""
        try:
            self._file.seek(0)
            self._file.write(_npy_header(self._dtype, (self.rows, *(self._trailing or trailing))))
            self._file.close()
            os.replace(self._temporary, self.path)  # noqa: PTH105 - replaces an existing file on every system
        except OSError as error:
            raise explain_os_error(self.path, error) from error

    def abandon(self) -> None:
        """Remove the temporary file. Does nothing after :meth:`finish`."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


def open_frames(path: Path) -> NDArray:
    """An array on disk, memory-mapped.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a complete array.
    """
    try:
        frames: NDArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged header is parsed as Python: SyntaxError, TokenError, ...
        raise ValueError(f"not a whole array ({type(error).__name__})") from error
    return frames


def _npy_header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """NPY format 1.0, padded with spaces to the fixed size (the format requires a multiple of 64)."""
    text = repr({"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    body = text.encode("latin1").ljust(_HEADER_BYTES - 11) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body
