"""Damaged files, and files made of several recordings, as pieces that a decoder can read.

The formats differ in how damage is found (``flac``, ``ogg``, ``mp3_repair``). All are treated alike: intact sound is
placed at its position, and missing sound becomes silence and is reported. Input: a path and its container. Output: an
open source, or None if nothing needs repair.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

from babyhubert.audio import flac, mp3_repair, ogg
from babyhubert.audio.libsndfile import SndfileSource
from babyhubert.audio.pieces import Piece, PiecedSource
from babyhubert.audio.riff import PcmSource, WavLayout
from babyhubert.audio.source import Source, duration_phrase
from babyhubert.errors import AudioError

CONTAINERS = frozenset({"FLAC", "OGG", "MP3"})
"""Containers that can be repaired."""


def is_one_stream(path: Path, container: str) -> bool:
    """True if a file seems to be one recording, by a few samples of it."""
    return {"FLAC": flac, "OGG": ogg, "MP3": mp3_repair}[container].is_one_stream(path)


def repaired(path: Path, container: str) -> PiecedSource | None:
    """Open a recording with its holes filled and its pieces joined; None if it needs no repair, or nothing is left.

    Raises:
        AudioError: the intact part cannot be read.
    """
    status = path.stat()
    pieces = _pieces(path, container, status.st_size, status.st_mtime_ns)
    if not pieces:
        return None
    return PiecedSource(pieces, partial(_open_piece, path), _warnings(pieces))


@lru_cache(maxsize=4)
def _pieces(path: Path, container: str, _size: int, _modified: int) -> tuple[Piece, ...]:
    """The pieces of a file, cached as long as it stays the same."""
    if container == "FLAC":
        return tuple(flac.find_pieces(path))
    find = ogg.find_pieces if container == "OGG" else mp3_repair.find_pieces
    return tuple(find(path, partial(_open_piece, path)))


def joined_wavs(path: Path, layouts: Sequence[WavLayout]) -> PiecedSource:
    """Open WAV files joined end to end as one recording; parts that are not PCM are reported."""
    pieces = [
        Piece(
            (),
            layout.sample_rate,
            layout.channels,
            layout.data_bytes // layout.frame_bytes,
            joined=index > 0,
            opener=partial(PcmSource, path, layout),
        )
        for index, layout in enumerate(layouts)
        if layout.is_pcm and layout.data_bytes >= layout.frame_bytes
    ]
    if not pieces:
        raise AudioError(f"{path} holds no audio (0 frames): copy it again from the recorder")
    unread = len(layouts) - len(pieces)
    more = (
        (f"{unread} of the {len(layouts)} WAV files joined in it are compressed or empty: not read",) if unread else ()
    )
    return PiecedSource(pieces, partial(_open_piece, path), (*_warnings(tuple(pieces)), *more))


def _open_piece(path: Path, piece: Piece) -> Source:
    return SndfileSource(path, piece.parts) if piece.opener is None else piece.opener()


def _warnings(pieces: tuple[Piece, ...]) -> tuple[str, ...]:
    streams = [piece for piece in pieces if piece.joined]
    if not streams:
        return ()
    rates = sorted({piece.sample_rate for piece in pieces})
    change = f" (at {' and '.join(f'{rate:,}' for rate in rates)} Hz)" if len(rates) > 1 else ""
    first = next(index for index, piece in enumerate(pieces) if piece.joined)
    before = sum(piece.gap + piece.frames for piece in pieces[:first])
    return (
        f"{len(streams) + 1} recordings joined in one file{change}, "
        f"the first of them {duration_phrase(before, pieces[0].sample_rate)} long: reading all of them",
    )
