"""Settings from TOML files into frozen, typed objects.

An unknown key, a wrong type or an impossible value is an error that names the file, the key and the remedy.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from babyhubert.errors import ConfigError


class Config(BaseModel):
    """Base of every settings object: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML ({error})") from error
    for override in overrides:
        _apply(content, override)
    return build_config(content, kind, str(path))


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
    return f"'{key}' = {problem['input']!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _apply(content: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {override}: write it as key=value, for example --set train.steps=100")
    *tables, last = key.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {override}: '{table}' is a value, not a table")
    content[last] = _toml_value(text.strip())


def toml_key(name: str) -> str:
    """A name as TOML writes it before ``=`` or in ``[...]``: in quotes where it is more than letters and digits."""
    if re.fullmatch("[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
