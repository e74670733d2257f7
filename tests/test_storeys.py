"""The packages are storeys: each imports only those below it, so no two import each other in a circle."""

import ast
from pathlib import Path

import babyhubert

# fmt: off
STOREYS = [
    "version", "shipped", "errors", "hashing", "files", "timebase", "config", "kept_files", "progress", "frame_store",
    "compute", "audio", "annotation", "simulation", "encoder", "phonology", "material", "inference", "runs",
    "measures", "quality", "evaluation", "tasks", "training", "corpus", "units", "pretraining", "exchange", "report",
    "web", "review", "desktop", "demo", "cli",
]
# fmt: on
ROOT = Path(babyhubert.__file__).parent


def imported(path: Path) -> set[str]:
    """Storeys that a module imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "babyhubert":
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            found.update(names)
        elif isinstance(node, ast.Import):
            found.update(alias.name.split(".")[1] for alias in node.names if alias.name.startswith("babyhubert."))
    return found


def test_every_package_imports_only_the_storeys_below_it():
    wrong, seen = [], set()
    for path in sorted(ROOT.rglob("*.py")):
        own = path.relative_to(ROOT).with_suffix("").parts[0]
        if own in {"__init__", "__main__"}:  # the public names; the command
            continue
        seen.add(own)
        above = {other for other in imported(path) - {own} if STOREYS.index(other) > STOREYS.index(own)}
        wrong += [f"{path.relative_to(ROOT)} imports {other}" for other in sorted(above)]
    assert not wrong, wrong
    assert seen == set(STOREYS)
