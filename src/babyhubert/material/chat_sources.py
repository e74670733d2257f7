"""CHAT transcripts of CHILDES and PhonBank as material: one row per utterance, and the recordings.

Transcripts and recordings are stored in separate folders, and a header names the recording without its extension: it
is searched by name, beside the transcript first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from babyhubert.annotation.chat import Participant, Transcript, Utterance, read_transcript
from babyhubert.annotation.intervals import union
from babyhubert.audio.discovery import RecordingFile, discover
from babyhubert.audio.names import RecordingNames
from babyhubert.errors import AnnotationError, AudioError
from babyhubert.files import files_below
from babyhubert.material.settings import DataSource, SourceRecording, SourceRow, is_selected

IPA_COLUMN = "ipa_words"
"""Pronunciation in a row of a CHAT transcript: words in IPA without spaces between phones."""
NO_PHONES_COLUMN = "no_phones"
"""Reason why such a row has none."""
_NO_NAMES = frozenset({"", "child", "chi", "target_child", "target child"})


def transcripts_below(folder: Path) -> list[Path]:
    """CHAT transcripts, without hidden files and folders."""
    below = (path.relative_to(folder) for path in files_below(folder, ".cha"))
    return [folder / path for path in sorted(below) if not any(part.startswith(".") for part in path.parts)]


def read_transcripts(folder: Path, paths: Sequence[Path], source: DataSource) -> list[SourceRecording]:
    """Read recordings of transcripts with one row per utterance.

    Raises:
        AnnotationError: malformed, without the phonetic tier, or a recording is missing.
        MissingExtraError: pylangacq is not installed.
    """
    named = {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}
    chosen = {
        name: path
        for name, path in named.items()
        if is_selected(name, source.select) or is_selected(path.stem, source.select)
    }
    read = {name: read_transcript(path, source.tier) for name, path in chosen.items()}
    _refuse_missing_tier(folder, source.tier, list(read.values()))
    root = Path(source.audio) if source.audio else folder
    recordings = _recordings_below(root, chosen)
    return [
        _transcribed(
            name, chosen[name], transcript, _audio_of(name, chosen[name], transcript, root, recordings), source
        )
        for name, transcript in read.items()
    ]


def _refuse_missing_tier(folder: Path, tier: str, transcripts: Sequence[Transcript]) -> None:
    there = {name for transcript in transcripts for one in transcript.utterances for name in one.tiers}
    if transcripts and tier not in there:
        others = ", ".join(f"%{name}" for name in sorted(there)) or "none"
        raise AnnotationError(
            f"{folder}: no utterance has a tier %{tier} (tiers there: {others}); "
            'say with tier = "..." which one holds what was pronounced (%mod is what should have been)'
        )


def _recordings_below(root: Path, transcripts: Mapping[str, Path]) -> RecordingNames[RecordingFile]:
    """Recordings below a folder by their name without regard to case."""
    try:
        files = discover([root]) if transcripts else []
    except AudioError as error:
        first = next(iter(transcripts.values()))
        raise AnnotationError(
            f'{first}: no recording of it found: {error}; say where recordings are with audio = "..."'
        ) from error
    return RecordingNames(((file.recording_id.casefold(), file) for file in files), "other")


def _audio_of(
    name: str, path: Path, transcript: Transcript, root: Path, recordings: RecordingNames[RecordingFile]
) -> Path:
    """Recording of a transcript: by the name in its header, else by its own name, preferably in a corresponding
    folder.
    """
    wanted = list(dict.fromkeys([transcript.media or path.stem, path.stem]))
    names = [(PurePosixPath(name).parent / bare).as_posix().casefold() for bare in wanted]
    found = next((files for one in names if (files := recordings.candidates(one))), [])
    if not found:
        raise AnnotationError(
            f"{path}: its recording {' or '.join(wanted)} is not below {root}; put it beside the transcript, say with "
            'audio = "..." where it is, or leave the transcript out with select'
        )
    if len(found) > 1:
        raise AnnotationError(
            f"{path}: its recording may be {found[0].path} or {found[1].path}; put it beside the transcript"
        )
    return found[0].path


def _transcribed(name: str, path: Path, transcript: Transcript, audio: Path, source: DataSource) -> SourceRecording:
    rows: list[SourceRow] = []
    untimed: list[SourceRow] = []
    for one in transcript.utterances:
        fields = {**_voice(name, transcript, one.speaker), **_pronounced(one, source.tier)}
        start, end = one.span or (0, 0)
        (untimed if one.span is None else rows).append(SourceRow(start, end, fields, f"{path}, line {one.line}"))
    annotated = union(*np.array([(row.start, row.end) for row in rows], dtype=np.int64).T)
    return SourceRecording(RecordingFile(name, audio), tuple(rows), annotated, untimed=tuple(untimed))


def _voice(name: str, transcript: Transcript, speaker: Participant) -> dict[str, str]:
    child = _child_of(name, transcript, speaker)
    return {
        "transcript": name,
        "child_id": child,
        "speaker_id": child if speaker.is_target_child else f"{child}/{speaker.code}",
        "speaker": speaker.code,
        "role": speaker.role,
        "label": "KCHI" if speaker.is_target_child else speaker.code,
    }


def _pronounced(utterance: Utterance, tier: str) -> dict[str, str]:
    if utterance.phonetic is None:
        return {IPA_COLUMN: "", NO_PHONES_COLUMN: f"no %{tier} tier"}
    if not utterance.is_intelligible:
        return {IPA_COLUMN: "", NO_PHONES_COLUMN: "unintelligible to the transcriber (xxx, yyy, *)"}
    return {IPA_COLUMN: " ".join(utterance.phonetic_words)}


def _child_of(name: str, transcript: Transcript, speaker: Participant) -> str:
    """Child of a recording: corpus and name of the target child; without a name, its folder, else the recording
    itself.
    """
    children = [one for one in (speaker, *transcript.participants) if one.is_target_child]
    child = next((one for one in children if one.name.casefold() not in _NO_NAMES), None)
    if child is not None:
        return f"{child.corpus}/{child.name}"
    folder = PurePosixPath(name).parent.as_posix()
    return name if folder == "." else folder
