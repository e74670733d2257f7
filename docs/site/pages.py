"""Pages of the site that are made from the package itself, so that they cannot differ from it: the commands from their
help, the training configurations and the cards of the models. A hook of mkdocs (see mkdocs.yml).
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(r"\]\(\.\./(?P<path>[^)#]*)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made = {"commands.md": commands(), "configurations.md": configurations(), "models.md": cards()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Turn links to files beside docs/, which are not on the site, into links to the pages that show them."""
    return OUTSIDE.sub(_inside, markdown)


def commands() -> str:
    """Every command with its arguments and options, as its help has them."""
    help_ = subprocess.run(
        [sys.executable, "-m", "typer", "babyhubert.cli.app", "utils", "docs", "--name", "babyhubert"],
        capture_output=True, text=True, encoding="utf-8", check=True, cwd=ROOT,
    )  # fmt: skip
    return "# Commands\n\n" + re.sub(r"^#(#*) `(.*)`$", r"#\1# \2", help_.stdout, flags=re.MULTILINE)


def configurations() -> str:
    """The files of configs/, with their comments."""
    pages = [
        "# Training configurations\n\nThese files are in the folder `configs/` of the source. "
        "`--set table.key=value` changes one setting of a file for one run.\n"
    ]
    pages += [
        f"## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"
        for path in sorted((ROOT / "configs").glob("*.toml"))
    ]
    return "\n".join(pages)


def cards() -> str:
    """The cards of the models that come with the package."""
    pages = ["# Models of the package\n"]
    for path in sorted((ROOT / "src" / "babyhubert" / "models").glob("*/README.md")):
        text = re.sub(r"\A---\n.*?\n---\n", "", path.read_text(encoding="utf-8"), flags=re.DOTALL).strip()
        pages.append(re.sub(r"^#", "##", text, flags=re.MULTILINE) + "\n")
    return "\n".join(pages)


def _inside(link: re.Match[str]) -> str:
    path = Path(link["path"])
    if path.name == "README.md" and "models" in path.parts:
        return "](models.md)"
    if path.suffix == ".toml" and path.parts[0] == "configs":
        return f"](configurations.md#{path.stem})"
    if path.name == "README.md":
        return "](index.md)"
    raise ValueError(f"a page links to ../{path}, which is not on the site: name the file instead")
