"""A methods section as Markdown, plain text or LaTeX, and its BibTeX."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from babyhubert.files import write_text
from babyhubert.report.citations import Citation, bibliography
from babyhubert.report.methods import Methods, MethodsTable

BIBLIOGRAPHY = "references.bib"
_MARKER = re.compile(r"\[@([A-Za-z0-9_]+)\]")
_MARKERS = re.compile(r"(?: ?\[@[A-Za-z0-9_]+\])+")
_MARKDOWN = re.compile(r"([\\`*_|<>#])")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def _with_citations(text: str, escape: Callable[[str], str], cite: Callable[[list[str]], str]) -> str:
    """A text whose parts are escaped, and whose markers are written by ``cite``."""
    parts, place = [], 0
    for found in _MARKERS.finditer(text):
        parts += [escape(text[place : found.start()]), cite(_MARKER.findall(found[0]))]
        place = found.end()
    return "".join([*parts, escape(text[place:])])


def _authors(methods: Methods) -> Callable[[list[str]], str]:
    known: Mapping[str, Citation] = {one.key: one for one in methods.citations}
    return lambda keys: f" ({'; '.join(known[key].short for key in keys)})"


def to_markdown(methods: Methods) -> str:
    """Sections, pipe tables, and a list of references."""

    def escape(text: str) -> str:
        return _MARKDOWN.sub(r"\\\1", text)

    parts = ["# Methods"]
    for heading, text in methods.paragraphs:
        parts += [f"## {escape(heading)}", _with_citations(text, escape, _authors(methods))]
    for table in methods.tables:
        rows = [table.headings, tuple("---" for _ in table.headings), *table.rows]
        first, line, *rest = (tuple(map(str, row)) for row in rows)
        lines = [_pipes(map(escape, first)), _pipes(line), *(_pipes(map(escape, row)) for row in rest)]
        parts += [f"**{escape(table.title)}**", "\n".join(lines)]
    parts += ["## References", "\n".join(f"- {escape(one.full())}" for one in methods.citations)]
    if methods.missing:
        parts += ["## To add by hand", "\n".join(f"- {escape(text)}" for text in methods.missing)]
    return "\n\n".join(parts) + "\n"


def _pipes(cells: Iterator[str] | tuple[str, ...] | map[str]) -> str:
    return f"| {' | '.join(cells)} |"


def to_text(methods: Methods) -> str:
    """Paragraphs without markup; columns of tables aligned."""
    parts = [f"{heading}. {_with_citations(text, str, _authors(methods))}" for heading, text in methods.paragraphs]
    parts += [f"{table.title}\n{_aligned(table)}" for table in methods.tables]
    parts.append("References\n" + "\n".join(one.full() for one in methods.citations))
    if methods.missing:
        parts.append("To add by hand\n" + "\n".join(f"- {text}" for text in methods.missing))
    return "\n\n".join(parts) + "\n"


def _aligned(table: MethodsTable) -> str:
    rows = (table.headings, *table.rows)
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.headings))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def to_latex(methods: Methods) -> str:
    """A section for ``input`` in a document; the bibliography is beside it."""

    def escape(text: str) -> str:
        return "".join(_LATEX.get(character, character) for character in text)

    def cite(keys: list[str]) -> str:
        return f"~\\cite{{{','.join(keys)}}}"

    parts = [r"\section{Methods}"]
    for heading, text in methods.paragraphs:
        parts.append(f"\\paragraph{{{escape(heading)}}} {_with_citations(text, escape, cite)}")
    for table in methods.tables:
        rows = [" & ".join(map(escape, row)) + r" \\" for row in (table.headings, *table.rows)]
        parts.append(
            "\\begin{table}\n"
            f"\\caption{{{escape(table.title)}}}\n"
            f"\\begin{{tabular}}{{{'l' * len(table.headings)}}}\n"
            + "\n".join([rows[0], r"\hline", *rows[1:]])
            + "\n\\end{tabular}\n\\end{table}"
        )
    parts += [f"% To add by hand: {' '.join(text.split())}" for text in methods.missing]
    return "\n\n".join(parts) + "\n"


FORMATS: Mapping[str, tuple[str, Callable[[Methods], str]]] = {
    "markdown": ("methods.md", to_markdown),
    "text": ("methods.txt", to_text),
    "latex": ("methods.tex", to_latex),
}
"""File and writer of each format."""


def write_methods(output: Path, methods: Methods, formats: list[str]) -> list[Path]:
    """Write the section in some formats, and its bibliography; return the files.

    Raises:
        OutputError: they cannot be written.
    """
    files = {FORMATS[name][0]: FORMATS[name][1](methods) for name in formats}
    files[BIBLIOGRAPHY] = bibliography(methods.citations)
    for name, text in files.items():
        write_text(output / name, text)
    return [output / name for name in files]
