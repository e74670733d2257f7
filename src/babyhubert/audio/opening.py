"""Choice of the decoder for a file.

Checking and reading share this choice, so that a check never accepts what reading then refuses: PCM in WAV files with
wrong sizes is read directly, formats of libsndfile are read with it, the rest with PyAV. Input: a path. Output: an
open :class:`~babyhubert.audio.source.Source`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from babyhubert.audio import media, mending, ogg, riff
from babyhubert.audio.guarded import GuardedSource
from babyhubert.audio.late_start import LateSource
from babyhubert.audio.libsndfile import SndfileSource
from babyhubert.audio.presence import begins_with_zeros, looks_like_text, require_content
from babyhubert.audio.source import Source
from babyhubert.errors import AudioError, MissingExtraError, install_command


def open_source(path: Path) -> Source:
    """Open a recording at its native rate.

    Raises:
        AudioError: missing, unreadable, not audio, or without a single frame.
        MissingExtraError: only PyAV could read it and it is not installed.
    """
    require_content(path)
    source = _open(path)
    if source.header.frames == 0:
        source.close()
        raise AudioError(f"{path} holds no audio (0 frames): copy it again from the recorder")
    return source


def _open(path: Path) -> Source:
    layouts = riff.read_layouts(path)
    if not layouts:
        return _open_any(path)
    if len(layouts) > 1 and layouts[0].is_pcm:
        return mending.joined_wavs(path, layouts)
    layout = layouts[0]
    if layout.is_pcm and (layout.misread or layout.container != "WAV"):
        return riff.PcmSource(path, layout)
    source: Source = _open_media(path) if layout.misread else _open_any(path)
    if layout.warning:
        source.header = replace(source.header, warnings=(*source.header.warnings, layout.warning))
    return source


def _open_any(path: Path) -> Source:
    try:
        return _guarded(path, SndfileSource(path))
    except AudioError as refusal:
        if looks_like_text(path):
            raise AudioError(f"{path} is a text file, not audio: check how it was named or copied") from None
        if begins_with_zeros(path):
            raise AudioError(f"{path} begins with zeros instead of audio: copy it again from the recorder") from None
        if path.suffix.lower() == ".flac" and (repaired := mending.repaired(path, "FLAC")) is not None:
            return repaired
        return _open_with_media(path, refusal)


def _open_media(path: Path) -> Source:
    source = media.AvSource(path)
    return LateSource(source, source.lead) if source.lead else source


def _guarded(path: Path, source: SndfileSource) -> Source:
    """A source that is repaired when needed, or at once if its file is made of pieces."""
    container = source.header.container
    if container not in mending.CONTAINERS or (container == "MP3" and source.header.length == "guessed"):
        return source  # of MPEG's other layers
    if not mending.is_one_stream(path, container) and (repaired := mending.repaired(path, container)) is not None:
        source.close()
        return repaired
    if container == "OGG" and (warning := ogg.unread_end(path)) is not None:
        source.header = replace(source.header, warnings=(*source.header.warnings, warning))
    return GuardedSource(source, partial(mending.repaired, path, container), before_reading=container != "FLAC")


def _open_with_media(path: Path, refusal: AudioError) -> Source:
    try:
        return _open_media(path)
    except MissingExtraError:
        if path.suffix.lower() in media.SUFFIXES:
            raise
        raise AudioError(
            f"{refusal}: not audio, damaged, or in need of the 'media' extra ({install_command('media')})"
        ) from None
    except AudioError as second:
        reason = second if path.suffix.lower() in media.SUFFIXES else refusal
        raise AudioError(f"{reason}: not audio, or damaged beyond reading; get the original again") from None
