"""Settings from TOML files as frozen, typed objects.

An unknown key, a wrong type or an impossible value is an error that names the file, the key and the remedy.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from babyhubert.errors import ConfigError

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""A seed in the range that both torch and numpy accept."""

_LARGEST = 10**12
"""Limit of every number without a limit of its own: in seconds, samples or steps it is beyond any use, and still
exact.
"""
_MOST_BYTES = 4_000_000
_LONGEST_SHOWN = 80


class Config(BaseModel):
    """Base class of all settings: frozen, no unknown keys, no silent conversions, no absurd numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _within_reason(cls, value: Any, info: ValidationInfo) -> Any:
        limits = cls.model_fields[str(info.field_name)].metadata
        limited = any(hasattr(limit, "le") or hasattr(limit, "lt") for limit in limits)
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, str) and "\0" in part:
                raise ValueError("a text with a NUL character")
            if isinstance(part, int | float) and not limited and abs(part) > _LARGEST:
                raise ValueError(f"at most {_LARGEST:g}")
        return value


ConfigT = TypeVar("ConfigT", bound=Config)


def read_config(path: Path, kind: type[ConfigT], overrides: Sequence[str] = ()) -> ConfigT:
    """Read a settings file.

    Args:
        path: TOML file.
        kind: The settings class.
        overrides: ``key=value`` texts, dotted keys, values in TOML (a bare word is taken as a string).

    Raises:
        ConfigError: no such file, not TOML, an unknown or ill-typed key.
    """
    content = read_toml(Path(path))
    for override in overrides:
        _apply(content, override)
    return build_config(content, kind, str(path))


def read_toml(path: Path, what: str = "settings") -> dict[str, Any]:
    """Read the tables of a TOML file.

    Args:
        path: The file.
        what: The kind of file, for messages.

    Raises:
        ConfigError: no regular file of a bounded size, or not TOML.
    """
    try:
        return tomllib.loads(read_bounded(path, what))
    except ValueError as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ConfigError(f"{path}: not TOML, as {what} are ({error})") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not TOML, as {what} are (nested too deeply)") from error


def read_bounded(path: Path, what: str) -> str:
    """Read the text of a regular file of bounded size.

    Raises:
        ConfigError: there is none, it is another kind of file, or it is too large.
        ValueError: it is not UTF-8, or no file can have this name.
    """
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: not a regular file, as {what} are")
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ConfigError(f"{path}: {size:,} bytes are too many for {what}; at most {_MOST_BYTES:,} are read")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error


def build_config(content: dict[str, Any], kind: type[ConfigT], where: str) -> ConfigT:
    """Check settings that were read from ``where``.

    Raises:
        ConfigError: an unknown or ill-typed key, named with its table.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_explain(problem) for problem in error.errors())
        raise ConfigError(f"{where}: {problems}") from error


def _explain(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if problem["type"] == "missing":
        return f"key '{key}' is missing"
    details = problem.get("ctx", {})
    if problem["type"] == "union_tag_not_found":
        return f"key '{key}.{str(details['discriminator']).strip(chr(39))}' is missing"
    if problem["type"] == "union_tag_invalid":
        name = str(details["discriminator"]).strip("'")
        return f"'{key}.{name}' = {details['tag']!r}: one of {details['expected_tags']}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):
        return message if not problem["loc"] else f"'{key}': {message}"
    shown = repr(problem["input"])
    if len(shown) > _LONGEST_SHOWN:
        shown = shown[:_LONGEST_SHOWN] + "..."
    return f"'{key}' = {shown}: {message[0].lower()}{message[1:]}"


def _apply(content: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {override}: write it as key=value, for example --set train.steps=100")
    *tables, last = key.strip().split(".")
    place: Any = content
    for table in tables:
        place = _entry(place, table, override) if isinstance(place, list) else place.setdefault(table, {})
        if not isinstance(place, dict | list):
            raise ConfigError(f"--set {override}: '{table}' is a value, not a table")
    if isinstance(place, list):
        _entry(place, last, override)
        place[int(last)] = _toml_value(text.strip())
    else:
        place[last] = _toml_value(text.strip())


def _entry(entries: list[Any], number: str, override: str) -> Any:
    """An entry of a list of tables, named by its number from 0: ``iterations.0.units.teacher``."""
    if not number.isdecimal() or int(number) >= len(entries):
        raise ConfigError(f"--set {override}: '{number}' is no entry of a list of {len(entries)}; they count from 0")
    return entries[int(number)]


def toml_key(name: str) -> str:
    """A key as TOML writes it before ``=`` or in ``[...]``: quoted if it has more than letters and digits."""
    if re.fullmatch("[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
