"""Commands in README and docs exist, with the options that are written there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from babyhubert.cli.app import app
from babyhubert.cli.examples import EXAMPLES
from commands import parse

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "src/babyhubert/models").rglob("*.md")])
BLOCK = re.compile(r"^[ ]*```(\w*)\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """Arguments of each `babyhubert` command in the blocks of a page."""
    blocks = [block for language, block in BLOCK.findall(text) if language in ("", "sh", "bash", "powershell")]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [shlex.split(line, comments=True) for line in lines if re.match(r"\s*\$?\s*babyhubert\s", line)]
    return [words[words.index("babyhubert") + 1 :] for words in found]


def test_the_pages_have_commands():
    assert sum(len(commands(page.read_text(encoding="utf-8"))) for page in PAGES) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_a_page_exist(page):
    for words in commands(page.read_text(encoding="utf-8")):
        try:
            parse(words)
        except Exception as error:
            pytest.fail(f"{page.name}: babyhubert {' '.join(words)}: {error}")


def all_commands(group, before=""):
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(all_commands(typer.main.get_command(app)))


def test_every_command_has_an_example():
    assert sorted(COMMANDS) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_in_help_are_complete_commands(name):
    """Required options are given, and values are of their types; nothing is run."""
    for line in EXAMPLES[name]:
        assert f"babyhubert {line}" in COMMANDS[name].epilog
        words = shlex.split(line if name != "finetune tasks" else line.replace("finetune", "finetune tasks"))
        assert words[: len(name.split())] == name.split()
        COMMANDS[name].make_context(name, words[len(name.split()) :])
