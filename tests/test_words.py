"""Docstrings begin with a verb or a noun and use the field's words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import babyhubert

ROOT = Path(babyhubert.__file__).parent
# fmt: off
DONE = {
    "annotation", "audio", "cli", "compute", "config", "corpus", "demo",
    "encoder", "errors", "evaluation", "exchange", "files", "frame_store", "hashing", "inference", "kept_files",
    "material", "measures", "phonology", "progress", "report", "runs", "simulation", "timebase", "units", "version",
}
# fmt: on
"""Packages and modules whose docstrings have been brought to these words."""

QUESTIONS = re.compile(r"(What|How|Whether|Where|Who|When|Which|Why|Whom|Whose)\b")
RETIRED = re.compile(
    r"\b(listens?|listening|hears?|heard|judge[sd]?|judging|judgement|nobody|standardised?)\b",
    re.IGNORECASE,
)
NAMES = re.compile(r"`+[^`]*`+|^ *\w+: ", re.MULTILINE)
NODES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings() -> Iterator[tuple[str, str]]:
    """Place and text of every docstring of the packages that are done."""
    for path in sorted(ROOT.rglob("*.py")):
        module = path.relative_to(ROOT)
        if module.with_suffix("").parts[0] in DONE:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, NODES) and (text := ast.get_docstring(node)):
                    yield f"{module}: {getattr(node, 'name', 'module')}", text


def test_docstrings_begin_with_a_verb_or_a_noun():
    assert [place for place, text in docstrings() if QUESTIONS.match(text)] == []


def test_docstrings_use_the_field_s_words():
    found = {place: match[0] for place, text in docstrings() if (match := RETIRED.search(NAMES.sub("", text)))}
    assert found == {}


def test_every_package_that_is_done_is_there():
    assert {name for name in DONE if not (ROOT / name).is_dir() and not (ROOT / f"{name}.py").is_file()} == set()
