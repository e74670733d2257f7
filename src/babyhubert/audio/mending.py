"""Damaged files, and files made of several recordings, as pieces that a decoder can read.

The formats differ in how damage is found (``flac``, ``ogg``, ``mp3_repair``); what is done about it is the same: sound
that is there is read and put where it belongs, and what is missing is silence and is told. In: a path and its
container. Out: an open source, or None where there is nothing to mend.
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
"""What is mended here."""


def is_one_stream(path: Path, container: str) -> bool:
    """Whether a file seems to be one recording, from a few places of it."""
    return {"FLAC": flac, "OGG": ogg, "MP3": mp3_repair}[container].is_one_stream(path)


def mended(path: Path, container: str) -> PiecedSource | None:
    """The recording with its holes filled and its pieces joined; None where there is nothing to mend, or nothing left.

    Raises:
        AudioError: what is left cannot be read.
    """
    status = path.stat()
    pieces = _pieces(path, container, status.st_size, status.st_mtime_ns)
    if not pieces:
        return None
    return PiecedSource(pieces, partial(_open_piece, path), _warnings(pieces))


@lru_cache(maxsize=4)
def _pieces(path: Path, container: str, _size: int, _modified: int) -> tuple[Piece, ...]:
    """The pieces of a file, remembered for as long as it stays the same."""
    if container == "FLAC":
        return tuple(flac.find_pieces(path))
    find = ogg.find_pieces if container == "OGG" else mp3_repair.find_pieces
    return tuple(find(path, partial(_open_piece, path)))


def joined_wavs(path: Path, layouts: Sequence[WavLayout]) -> PiecedSource:
    """WAV files joined end to end as one recording; what is not PCM among them is named."""
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
