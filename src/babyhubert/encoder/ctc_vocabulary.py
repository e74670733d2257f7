"""Symbols of transformers' CTC models, read from the files of their tokenizer.

``vocab.json`` gives the output of each token; ``added_tokens.json`` and ``tokenizer_config.json`` may add some. The
padding token is the blank of CTC. The word delimiter and the other special tokens are outputs like any other, and no
sounds. The rules are those of `Wav2Vec2CTCTokenizer` and `Wav2Vec2PhonemeCTCTokenizer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babyhubert.encoder.flavours.babar import BLANK
from babyhubert.encoder.model_json import is_there, read_json
from babyhubert.errors import CheckpointError

VOCABULARY = "vocab.json"
_TOKENIZER, _SPECIAL, _ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
_PAD = "pad_token"
_ROLES = {_PAD: "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "word_delimiter_token": "|"}
"""Settings that name a special token, and transformers' defaults."""


@dataclass(frozen=True)
class CtcVocabulary:
    """Meaning of the outputs of a CTC model.

    Attributes:
        labels: Token of each output; the blank is ``<blank>``.
        soundless: Tokens that stand for no sound: the word delimiter, and special tokens besides the blank.
    """

    labels: tuple[str, ...]
    soundless: tuple[str, ...]


def read_vocabulary(folder: Path, outputs: int, blank: int | None = None) -> CtcVocabulary | None:
    """Read the vocabulary of a model that transformers saved together with its tokenizer; None without ``vocab.json``.

    Args:
        folder: The model's folder.
        outputs: Number of the model's outputs.
        blank: Output that the model's configuration calls the padding (``pad_token_id``), if it does.

    Raises:
        CheckpointError: files that are malformed, or do not fit the model.
    """
    file = folder / VOCABULARY
    if not is_there(file):
        return None
    settings = _settings(folder)
    roles = {role: _text(settings.get(role, default), role, folder) for role, default in _ROLES.items()}
    tokens = _numbered(read_json(file), file) | _added_tokens(folder, settings)
    special = {token for token in roles.values() if token} | _listed_special(settings)
    beyond = sorted(token for token, number in tokens.items() if number >= outputs and token not in special)
    by_output = {number: token for token, number in tokens.items() if number < outputs}
    if beyond or len(by_output) != outputs:
        raise CheckpointError(
            f"{file}: it does not name the {outputs} outputs of the weights one by one "
            f"({_difference(beyond, by_output, outputs)}); use the {VOCABULARY} that was saved with this model"
        )
    pad = _blank_of(roles[_PAD], tokens, outputs, blank, file)
    labels = tuple(BLANK if number == pad else by_output[number] for number in range(outputs))
    if labels.count(BLANK) > 1:
        raise CheckpointError(f"{file}: {BLANK} is a symbol, and {roles[_PAD]} is the blank; rename the symbol")
    return CtcVocabulary(labels, tuple(label for label in labels if label in special and label != BLANK))


def _settings(folder: Path) -> dict[str, Any]:
    files = [folder / name for name in (_SPECIAL, _TOKENIZER)]
    found: dict[str, Any] = {}
    for file in files:
        found |= read_json(file) if is_there(file) else {}
    return found


def _text(value: Any, name: str, folder: Path) -> str | None:
    """Token behind a setting: a text, a table with its ``content``, or null."""
    token = value.get("content") if isinstance(value, Mapping) else value
    if token is not None and not isinstance(token, str):
        raise CheckpointError(f"{folder / _TOKENIZER}: {name} is {value!r}: a text is needed")
    return token


def _numbered(content: Mapping[str, Any], file: Path) -> dict[str, int]:
    """Check a table of outputs by token."""
    if any(isinstance(value, Mapping) for value in content.values()):
        raise CheckpointError(
            f"{file}: it holds one vocabulary per language ({', '.join(list(content)[:4])}), as models with adapters "
            "have; only a single one is supported"
        )
    for token, number in content.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 0 or not token:
            raise CheckpointError(f"{file}: the output of {token!r} is {number!r}: a whole number from 0 is needed")
    if len(set(content.values())) < len(content):
        numbers = list(content.values())
        twice = next(number for number in numbers if numbers.count(number) > 1)
        same = ", ".join(token for token, number in content.items() if number == twice)
        raise CheckpointError(f"{file}: several tokens have the output {twice}: {same}")
    return dict(content)


def _added_tokens(folder: Path, settings: Mapping[str, Any]) -> dict[str, int]:
    file = folder / _ADDED
    added = _numbered(read_json(file), file) if is_there(file) else {}
    decoder = settings.get("added_tokens_decoder") or {}
    where = folder / _TOKENIZER
    if not isinstance(decoder, Mapping) or not all(str(number).isdecimal() for number in decoder):
        raise CheckpointError(f"{where}: added_tokens_decoder is {decoder!r}: tokens by output are needed")
    named = {_text(value, "added_tokens_decoder", folder) or "": int(number) for number, value in decoder.items()}
    return added | _numbered(named, where)


def _listed_special(settings: Mapping[str, Any]) -> set[str]:
    """Special tokens without a role of their own."""
    listed = [*(settings.get("additional_special_tokens") or []), *(settings.get("extra_special_tokens") or [])]
    decoder = settings.get("added_tokens_decoder") or {}
    listed += [value for value in decoder.values() if isinstance(value, Mapping) and value.get("special")]
    tokens = (value.get("content") if isinstance(value, Mapping) else value for value in listed)
    return {token for token in tokens if isinstance(token, str)}


def _blank_of(token: str | None, tokens: Mapping[str, int], outputs: int, configured: int | None, file: Path) -> int:
    pad = tokens.get(token or "")
    if pad is None or pad >= outputs:
        raise CheckpointError(
            f"{file}: no output is the padding token {token!r} of the tokenizer, which is the blank; name it as "
            f"{_PAD} in {_TOKENIZER}"
        )
    if configured is not None and configured != pad:
        raise CheckpointError(
            f"{file}: the blank is output {pad} ({token}) for the tokenizer and output {configured} for the model "
            "(pad_token_id in config.json); correct the one that the model was not trained with"
        )
    return pad


def _difference(beyond: list[str], by_output: Mapping[int, str], outputs: int) -> str:
    if beyond:
        return f"{len(beyond)} token{'s' if len(beyond) > 1 else ''} beyond them, such as {beyond[0]}"
    unnamed = [number for number in range(outputs) if number not in by_output]
    if not unnamed:
        return "two tokens for one output"
    return f"no token for {len(unnamed)} of them, such as output {unnamed[0]}"
