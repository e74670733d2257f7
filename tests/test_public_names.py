"""The names that ``import babyhubert`` gives: there at once, documented, and light."""

import json
import pydoc
import subprocess
import sys

import pytest

import babyhubert

NAMES = {
    "BabyHubertError",
    "Segments",
    "embed",
    "load_audio",
    "load_encoder",
    "load_model",
    "save_model",
}


def test_dir_shows_the_public_names_alone():
    assert {name for name in dir(babyhubert) if not name.startswith("_")} == NAMES
    assert set(babyhubert.__all__) == NAMES | {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        babyhubert.segment  # noqa: B018


def test_help_shows_every_name_with_an_example():
    shown = pydoc.render_doc(babyhubert, renderer=pydoc.plaintext)
    assert 'segments = model("day1.wav")' in shown
    for name in NAMES:
        assert name in shown.partition("CLASSES")[2]
    for name in NAMES - {"BabyHubertError"}:
        assert ">>> " in getattr(babyhubert, name).__doc__, name


def test_importing_loads_next_to_nothing():
    asked = (
        "import json, sys, time; began = time.process_time(); import babyhubert; dir(babyhubert); "
        "spent = time.process_time() - began; print(json.dumps([spent, sorted(sys.modules)]))"
    )
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(spent for spent, _ in runs) < 0.05
    assert not {"torch", "numpy", "logging", "importlib.metadata", "babyhubert.annotation"} & set(runs[0][1])


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert babyhubert.__version__ == version("babyhubert")
