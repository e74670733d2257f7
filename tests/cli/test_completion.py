"""Completion of values with the Tab key, as the shell asks for it."""

import os
import subprocess
import sys
import time

import pytest
import typer.main
from task_models import write_task_model

from babyhubert.cli.app import app
from babyhubert.cli.completion import _TABLE, RELEASED_NAMES
from babyhubert.tasks.catalogue import RELEASED


def complete(words: str, folder=None, **environment: str) -> list[str]:
    """Completions of the last word of a command line, which may be empty."""
    given = {"_BABYHUBERT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['babyhubert']; from babyhubert.cli.app import main; main()"],
        env=os.environ | given | {"HF_HUB_CACHE": "/nowhere"} | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_speeds_devices_and_other_choices():
    assert complete("babyhubert segment --speed ") == ["exact", "balanced", "fast"]
    assert complete("babyhubert embed --dtype float3") == ["float32"]
    assert complete("babyhubert segment --device cu") == ["cuda", "cuda:0"]
    assert "eaf" in complete("babyhubert export out --to ")
    assert "childproject" in complete("babyhubert export out --to chi")


def test_models_by_name_and_by_path(tmp_path):
    (tmp_path / "my-model").mkdir()
    (tmp_path / "hub" / "models--lab--own").mkdir(parents=True)
    found = complete("babyhubert segment --model ", tmp_path, HF_HUB_CACHE=str(tmp_path / "hub"))
    assert found[0] == "playroom"
    assert {"coml/VTC-2", "lab/own", "my-model/", "hub/"} <= set(found)
    assert complete("babyhubert segment --model my", tmp_path) == ["my-model/"]
    assert complete(f"babyhubert segment --model {tmp_path}/my") == [f"{tmp_path}/my-model/"]
    assert complete("babyhubert models coml/V") == ["coml/VTC-2"]


def test_tasks_and_thresholds_are_those_of_the_model(tmp_path):
    card = {"thresholds": {"mine": dict.fromkeys(("KCHI", "OCH", "MAL", "FEM"), 0.5)}}
    write_task_model(tmp_path / "m", ["voice_type", "phonemes"], card)
    assert complete("babyhubert segment --model m --thresholds m", tmp_path) == ["mine", "m/"]
    assert set(complete("babyhubert phonemes --model m --task ", tmp_path)) == {"voice_type", "phonemes"}
    assert "high-recall" in complete("babyhubert segment --thresholds high", tmp_path)


def test_it_is_quick():
    began = time.process_time(), os.times().children_user
    complete("babyhubert segment --model ")
    assert os.times().children_user - began[1] < 2  # torch alone takes longer


def test_the_released_names_are_those_of_the_catalogue():
    assert {model.name for model in RELEASED} == set(RELEASED_NAMES)


def test_every_entry_is_a_parameter_of_a_command():
    known: set[str] = set()

    def walk(group) -> None:
        for name, entry in group.commands.items():
            if hasattr(entry, "commands"):
                walk(entry)
            else:
                known.update(part for each in entry.params for part in (each.name, f"{name} {each.name}"))

    walk(typer.main.get_command(app))
    assert [entry for entry in _TABLE if entry not in known] == []


@pytest.mark.parametrize("entry", [entry for entry in _TABLE if entry not in ("task", "thresholds")])
def test_every_entry_has_values(entry):
    assert list(_TABLE[entry][0](None))
