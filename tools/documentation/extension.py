"""Sphinx's extension of these docs: writes the generated pages, turns links, and copies files that links name."""

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from tools.catalogue_pages.pages import write as write_catalogue
from tools.documentation.api import api_pages
from tools.documentation.outside import COPIES, DOCS, FILES, ROOT, Outside
from tools.documentation.searched import write_list

GENERATED = ("api", "checkout")
"""Folders below docs/ that each build brings up to date."""
LEFTOVER = "jupyter_execute"
"""Folder that the notebooks' extension leaves beside the pages."""
TUTORIAL = "tutorial/"
BELOW = {
    "architecture": "adr/*",
    "catalogue/surrogates": "surrogate/*",
    "catalogue/neurons": "neuron/*",
    "study/README": "*",
    "passing_steps/README": "*",
    "reproductions": "reproductions/*",
}
"""Pages that others stand below, and which: most are written by commands."""
BAR = re.compile(r"(`+[^`]*`+)|\|")
IMAGE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    outside = Outside()
    app.connect("builder-inited", lambda _: write_pages(outside))
    app.connect("autodoc-process-docstring", lambda *words: escape_bars(words[-1]))
    app.connect("autodoc-skip-member", lambda _, kind, name, *words: is_of_pydantic(name), priority=400)
    app.connect("source-read", lambda _, name, source: turn(outside, name, source))
    app.connect("build-finished", lambda app, error: finish(outside, app) if error is None else None)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def write_pages(outside: Outside) -> None:
    """Write the pages that come from docstrings and from texts of the checkout."""
    write_catalogue(DOCS / "catalogue")
    pages = {DOCS / "api" / f"{name}.md": text for name, text in api_pages()}
    for place, name in COPIES.items():
        page = PurePosixPath("checkout") / f"{name}.md"
        text = outside.rewritten((ROOT / place).read_text(encoding="utf-8"), page, ROOT)
        pages[DOCS / page] = IMAGE.sub(r"![\1](../../\2)", text)
    for name in GENERATED:
        (DOCS / name).mkdir(exist_ok=True)
        for path in (DOCS / name).glob("*.md"):
            if path not in pages:
                path.unlink()
    for path, text in pages.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # else its page stays as it is
            path.write_text(text, encoding="utf-8")


def is_of_pydantic(name: str) -> bool | None:
    """Return whether a member is pydantic's own, which must not be read before the first use of its class."""
    return True if name.startswith("__pydantic_") else None


def escape_bars(lines: list[str]) -> None:
    r"""Keep the bars of absolute values in a docstring, which reStructuredText would take for a substitution.

    Formulas and examples stay as they are.

    >>> lines = ["max(0, 1 - |u|), `|u|`", "", ".. math:: |u|", "", ">>> a | b"]
    >>> escape_bars(lines)
    >>> print(lines[0], lines[2], lines[4], sep=" / ")
    max(0, 1 - \|u\|), `|u|` / .. math:: |u| / >>> a | b
    """
    formula: int | None = None  # how far the directive that a line may belong to is indented
    for place, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        if line.lstrip().startswith(".. math::"):
            formula = depth
        elif line.strip() and formula is not None and depth <= formula:
            formula = None
        if formula is None and not line.lstrip().startswith((">>>", "...")):
            lines[place] = BAR.sub(lambda found: found.group(1) or r"\|", line)


CATALOGUE = re.compile(r"catalogue/(surrogate|neuron)/(\w+)")
"""Pages of entries, whose results stand on a page of the boards."""


def turn(outside: Outside, name: str, source: list[str]) -> None:
    """Turn the links of one page."""
    if not name.startswith(GENERATED):
        source[0] = outside.rewritten(source[0], PurePosixPath(f"{name}.md"))
    if name.startswith(TUTORIAL) and "{code-cell}" in source[0]:
        source[0] += f"\n[This page as a notebook](outside:{name.removeprefix(TUTORIAL)}.ipynb), with its outputs.\n"
    entry = CATALOGUE.fullmatch(name)
    if entry is not None:
        where = f"outside:../../../{entry.group(1)}s/{entry.group(2)}.html"
        source[0] += f"\n## Results\n\n[{entry.group(2)} on every board]({where})\n"
    if name in BELOW:
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{BELOW[name]}\n```\n"


def finish(outside: Outside, app: Any) -> None:
    """Add to the built pages what is no page of Sphinx's, and remove what only the build reads."""
    into = Path(app.outdir)
    copy(outside, into)
    write_list(app, into)
    for notebook in (into.parent / LEFTOVER).glob(f"{TUTORIAL}*.ipynb"):
        shutil.copyfile(notebook, into / TUTORIAL / notebook.name)
    shutil.rmtree(into.parent / LEFTOVER, ignore_errors=True)


def copy(outside: Outside, into: Path) -> None:
    """Copy the files that links name, as text that a browser shows."""
    for place in sorted(outside.copied):
        path = into / FILES / f"{place}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / place).read_bytes())
