"""Sphinx's extension of these docs: writes the generated pages, turns links, and copies files that links name."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from registry.site.pages import DOCS_LIST, Findable, as_script
from tools.catalogue_pages.pages import write as write_catalogue
from tools.documentation.api import ENGINES, PACKAGE, api_pages, has_page, page_of

ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
COPIES = {
    "README.md": "readme",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "fastspiking/README.md": "fastspiking",
}
"""Texts of the checkout that become pages, below docs/checkout."""
PAGES_OF = {
    "conf/surrogate": "../surrogates.html",
    "conf/neuron": "../neurons.html",
    "tools/presets.yaml": "catalogue/libraries.html",
}
"""What is not documentation and has a page that each build makes of it, from the top of the documentation."""
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```|~~~|:::).*?^\1\s*$", re.DOTALL | re.MULTILINE)
FILES = "files"
"""Where copies of plain files lie, below the documentation."""


@dataclass
class Outside:
    """Rewrites links out of docs/, and notes the files of which the site needs a copy."""

    copied: set[str] = field(default_factory=set)  # paths from the top of the checkout

    def rewritten(self, text: str, page: PurePosixPath, folder: Path = DOCS) -> str:
        """Return a page whose links out of docs/ lead to where these things are on the site.

        `page`: its path below docs/. `folder`: its links are relative to this folder, or to the page if it is `DOCS`.
        """
        parts, end = [], 0
        for fence in FENCE.finditer(text):  # blocks of code stay as they are
            parts += [self._links(text[end : fence.start()], page, folder), fence.group()]
            end = fence.end()
        return "".join([*parts, self._links(text[end:], page, folder)])

    def _links(self, text: str, page: PurePosixPath, folder: Path) -> str:
        return LINK.sub(lambda match: self._link(match, page, folder), text)

    def _link(self, match: re.Match[str], page: PurePosixPath, folder: Path) -> str:
        """Return one link as it has to read on the site; one without a place there becomes plain words."""
        words, target = match.groups()
        file, mark, anchor = target.partition("#")
        if not file or re.match(r"[a-z]+:", file):
            return match.group()  # within the page, or to an address
        path = Path(os.path.normpath((folder / page.parent if folder == DOCS else folder) / file))
        up = "../" * (len(page.parts) - 1)  # to the top of the documentation
        if path.is_relative_to(DOCS):
            inside = path.relative_to(DOCS).as_posix()
            return words if path.is_dir() else f"[{words}]({up}{inside}{mark}{anchor})"
        if not path.is_relative_to(ROOT) or not path.exists():
            return match.group()  # the build says that it leads nowhere
        place = path.relative_to(ROOT).as_posix()
        if place in COPIES:
            return f"[{words}]({up}checkout/{COPIES[place]}.md{mark}{anchor})"
        site_path = self._place(path, place)
        return words if site_path is None else f"[{words}](outside:{up}{site_path})"

    def _place(self, path: Path, place: str) -> str | None:
        """Return where a file or folder of the checkout is on the site, from the top of the docs; None if nowhere.

        `place`: its path from the top of the checkout. A plain file is noted, so that `copy` puts it there.
        """
        parts = PurePosixPath(place).parts
        if place in PAGES_OF:
            return PAGES_OF[place]
        if parts[0] == "leaderboards":
            return f"../protocols/{parts[1]}.html" if len(parts) > 1 else "../boards.html"
        if any(map(path.is_relative_to, (PACKAGE, ENGINES))) and path.is_dir() and has_page(path):
            return f"api/{page_of(path)}.html"
        if path.is_dir():
            return None
        self.copied.add(place)
        return f"{FILES}/{place}.txt"


MOST_LETTERS = 600
SECTIONS, OBJECTS = "docs", "reference"
LEFT_OUT = ("catalogue/",)
"""Beginnings of pages that are on the boards' own list."""


def write_list(app: Any, into: Path) -> None:
    """Write the search list of sections and documented names into the folder of a built documentation."""
    names = sorted(name for name in app.env.found_docs if not name.startswith(LEFT_OUT))
    lines = [line for name in names for line in sections(app.env.get_doctree(name), f"docs/{name}.html")]
    lines += objects(app.env.domaindata["py"]["objects"])
    (into / Path(DOCS_LIST).name).write_bytes(as_script(lines))


def sections(tree: Any, page: str) -> Iterator[Findable]:
    """Yield a line of the search list for each section of a page: its title, place and first words."""
    from docutils import nodes

    for section in tree.findall(nodes.section):
        own = [part for part in section.children if not isinstance(part, nodes.section | nodes.title)]
        text = " ".join(" ".join(part.astext().split()) for part in own if isinstance(part, nodes.Element))
        title = next(iter(section.findall(nodes.title)), None)
        if title is not None and text:
            yield Findable(title.astext(), f"{page}#{section['ids'][0]}", SECTIONS, text[:MOST_LETTERS])


def objects(known: Any) -> Iterator[Findable]:
    """Yield a line of the search list for each class, function and method; `known`: Sphinx's, by dotted name."""
    for name, entry in sorted(known.items()):
        if not entry.aliased:
            place = f"docs/{entry.docname}.html#{entry.node_id}"
            yield Findable(name.rpartition(".")[2], place, OBJECTS, f"{entry.objtype} {name}")


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
    """Connect this extension to the events of a build by Sphinx."""
    outside = Outside()
    app.connect("builder-inited", lambda _: write_pages(outside))
    app.connect("autodoc-process-docstring", lambda *words: escape_bars(words[-1]))
    # Pydantic's own members must not be read before the first use of their class.
    skip = lambda _, kind, name, *words: True if name.startswith("__pydantic_") else None  # noqa: E731
    app.connect("autodoc-skip-member", skip, priority=400)
    app.connect("source-read", lambda _, name, source: turn(outside, name, source))
    app.connect("build-finished", lambda app, error: finish(outside, app) if error is None else None)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def write_pages(outside: Outside) -> None:
    """Write the pages that each build generates; one that says the same stays, so that it is not built again."""
    write_catalogue(DOCS / "catalogue")
    pages = {DOCS / "api" / f"{name}.md": text for name, text in api_pages()}
    for place, name in COPIES.items():
        page = PurePosixPath("checkout") / f"{name}.md"
        text = outside.rewritten((ROOT / place).read_text(encoding="utf-8"), page, (ROOT / place).parent)
        pages[DOCS / page] = IMAGE.sub(r"![\1](../../\2)", text)
    for name in GENERATED:
        (DOCS / name).mkdir(exist_ok=True)
        for path in (DOCS / name).glob("*.md"):
            if path not in pages:
                path.unlink()
    for path, text in pages.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # else its page stays as it is
            path.write_text(text, encoding="utf-8")


def escape_bars(lines: list[str]) -> None:
    r"""Keep the bars of absolute values in a docstring, which reStructuredText would take for a substitution.

    Formulas and examples stay as they are.

    >>> lines = ["max(0, 1 - |u|), `|u|`", "", ".. math:: |u|", "", ">>> a | b"]
    >>> escape_bars(lines)
    >>> print(lines[0], lines[2], lines[4], sep=" / ")
    max(0, 1 - \|u\|), `|u|` / .. math:: |u| / >>> a | b
    """
    formula_indent: int | None = None  # of the formula that a line belongs to; None outside of formulas
    for place, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith(".. math::"):
            formula_indent = indent
        elif line.strip() and formula_indent is not None and indent <= formula_indent:
            formula_indent = None
        if formula_indent is None and not line.lstrip().startswith((">>>", "...")):
            lines[place] = BAR.sub(lambda match: match[1] or r"\|", line)  # code in backticks stays


CATALOGUE = re.compile(r"catalogue/(surrogate|neuron)/(\w+)")
"""Pages of entries, whose results stand on a page of the boards."""


def turn(outside: Outside, name: str, source: list[str]) -> None:
    """Change the source of a page as it is read: links out of docs/, results of an entry, and pages below it."""
    if not name.startswith(GENERATED):
        source[0] = outside.rewritten(source[0], PurePosixPath(f"{name}.md"))
    if name.startswith(TUTORIAL) and "{code-cell}" in source[0]:
        source[0] += f"\n[This page as a notebook](outside:{name.removeprefix(TUTORIAL)}.ipynb), with its outputs.\n"
    match = CATALOGUE.fullmatch(name)
    if match is not None:
        place = f"outside:../../../{match[1]}s/{match[2]}.html"  # group and entry
        source[0] += f"\n## Results\n\n[{match[2]} on every board]({place})\n"
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
