"""Settings files: unknown and ill-typed keys are named."""

import pytest

from babyhubert.config import Config, read_config
from babyhubert.errors import ConfigError


class Inner(Config):
    steps: int = 3
    name: str = "a"


class Outer(Config):
    inner: Inner = Inner()
    needed: float


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("needed = 1.0\nextra = 2\n", [], "unknown key 'extra'"),
        ("needed = 1.0\n[inner]\nstep = 2\n", [], "unknown key 'inner.step'"),
        ("needed = 1.0\n[inner]\nsteps = 'x'\n", [], "'inner.steps' = 'x'"),
        ("[inner]\n", [], "key 'needed' is missing"),
        ("needed = \n", [], "not TOML"),
        ("needed = 1.0\n", ["inner.steps"], "key=value"),
        ("needed = 1.0\n", ["needed.x=1"], "is a value"),
        ("needed = 1.0\n", ["inner.steps=1.5"], "inner.steps"),
    ],
)
def test_problems_name_the_file_and_the_key(tmp_path, text, overrides, message):
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_config(path, Outer, overrides)


def test_overrides_win(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("needed = 1.0\n[inner]\nsteps = 1\n", encoding="utf-8")
    config = read_config(path, Outer, ["inner.steps=7", "inner.name=some word", "needed=2.5"])
    assert (config.inner.steps, config.inner.name, config.needed) == (7, "some word", 2.5)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml", Outer)


class Step(Config):
    size: int = 1


class Steps(Config):
    steps: list[Step]


def test_entries_of_a_list_of_tables_are_set_by_number(tmp_path):
    file = tmp_path / "steps.toml"
    file.write_text("[[steps]]\nsize = 3\n[[steps]]\n")
    assert [step.size for step in read_config(file, Steps, ["steps.1.size=7"]).steps] == [3, 7]
    for wrong in ("steps.2.size=7", "steps.first.size=7", "steps.2=7"):
        with pytest.raises(ConfigError, match=r"--set steps\..*is no entry of a list of 2"):
            read_config(file, Steps, [wrong])
