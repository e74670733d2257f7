"""A command whose parameters are groups of options is, to its user, a command with these options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer.main
from typer.testing import CliRunner

from babyhubert.cli.groups import After, option_groups


@dataclass(frozen=True, kw_only=True)
class Size:
    """A group."""

    width: Annotated[int, typer.Option(help="Of the sheet.")]
    height: Annotated[int, typer.Option(help="Of the sheet.")] = 2


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A group with a group in it, and an option that goes between the other's."""

    size: Size
    colour: Annotated[str, typer.Option(), After("width")] = "white"
    ruled: Annotated[bool, typer.Option("--ruled")] = False


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A group with an option of the same name as another's."""

    width: Annotated[int, typer.Option()] = 1


def ambiguous(size: Size, margin: Margin) -> None:
    """Never called: it cannot become a command."""


def app_of(seen):
    app = typer.Typer()

    @app.command()
    @option_groups
    def draw(sheet: Sheet, name: Annotated[str, typer.Option(), After("colour")] = "plain", copies: int = 1) -> None:
        """Draw a sheet."""
        seen.append((sheet, name, copies))

    return app


def test_options_are_in_the_order_that_the_groups_and_after_give():
    command = typer.main.get_command(app_of([]))
    assert [each.name for each in command.params[:6]] == ["width", "colour", "name", "copies", "ruled", "height"]
    assert [each.name for each in command.params if each.required] == ["width"]
    assert command.help == "Draw a sheet."


@pytest.mark.parametrize(
    ("given", "sheet", "own"),
    [
        ([], Sheet(size=Size(width=3)), ("plain", 1)),
        (["--height", "5", "--ruled"], Sheet(size=Size(width=3, height=5), ruled=True), ("plain", 1)),
        (["--name", "n", "--copies", "4", "--colour", "red"], Sheet(size=Size(width=3), colour="red"), ("n", 4)),
    ],
)
def test_a_command_is_given_its_groups_filled(given, sheet, own):
    seen = []
    result = CliRunner().invoke(app_of(seen), ["--width", "3", *given])
    assert result.exit_code == 0, result.output
    assert seen == [(sheet, *own)]


def test_two_groups_with_one_option_are_refused():
    with pytest.raises(ValueError, match="width"):
        option_groups(ambiguous)
