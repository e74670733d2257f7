"""Docstrings begin with a verb or a noun and use the field's words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import babyhubert

ROOT = Path(babyhubert.__file__).parent

QUESTIONS = re.compile(r"(What|How|Whether|Where|Who|When|Which|Why|Whom|Whose)\b")
RETIRED = re.compile(
    r"\b(listens?|window_settings|hears?|heard|judge[sd]?|judging|judgement|nobody|normalised_waveforms?)\b",
    re.IGNORECASE,
)
NAMES = re.compile(r"`+[^`]*`+|^ *\w+: ", re.MULTILINE)
NODES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings() -> Iterator[tuple[str, str]]:
    """Place and text of every docstring, those of constants and fields among them."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, NODES) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}", text
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                yield f"{path.relative_to(ROOT)}: line {node.lineno}", str(node.value.value)


def test_docstrings_begin_with_a_verb_or_a_noun():
    assert [place for place, text in docstrings() if QUESTIONS.match(text)] == []


def test_docstrings_use_the_field_s_words():
    found = {place: match[0] for place, text in docstrings() if (match := RETIRED.search(NAMES.sub("", text)))}
    assert found == {}


def test_there_are_docstrings():
    assert sum(1 for _ in docstrings()) > 2000
