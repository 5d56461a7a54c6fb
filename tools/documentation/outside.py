"""Links of the pages that leave docs/: to source code, boards, files of the catalogue and texts of the checkout."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tools.documentation.api import ENGINES, PACKAGE, has_page, page_of

ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
COPIES = {"README.md": "readme", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
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
    """Rewrites links, and notes the files of which the site needs a copy."""

    copied: set[str] = field(default_factory=set)

    def rewritten(self, text: str, page: PurePosixPath, folder: Path = DOCS) -> str:
        """Return a page whose links out of docs/ lead to where these things are on the site.

        `folder`: in which its links are to be read, relative to the page's own place.
        """
        done, last = [], 0
        for fence in FENCE.finditer(text):
            done += [self._links(text[last : fence.start()], page, folder), fence.group()]
            last = fence.end()
        return "".join([*done, self._links(text[last:], page, folder)])

    def _links(self, text: str, page: PurePosixPath, folder: Path) -> str:
        return LINK.sub(lambda found: self._link(found, page, folder), text)

    def _link(self, found: re.Match[str], page: PurePosixPath, folder: Path) -> str:
        words, target = found.groups()
        file, _, anchor = target.partition("#")
        if not file or re.match(r"[a-z]+:", file):
            return found.group()
        path = Path(os.path.normpath((folder / page.parent if folder == DOCS else folder) / file))
        up = "../" * (len(page.parts) - 1)
        if path.is_relative_to(DOCS):
            if path.is_dir():
                return words
            inside = path.relative_to(DOCS).as_posix()
            return f"[{words}]({up}{inside}{'#' + anchor if anchor else ''})"
        if not path.is_relative_to(ROOT) or not path.exists():
            return found.group()  # the build says that it leads nowhere
        place = path.relative_to(ROOT).as_posix()
        if place in COPIES:
            return f"[{words}]({up}checkout/{COPIES[place]}.md{'#' + anchor if anchor else ''})"
        where = self._place(path, place)
        return words if where is None else f"[{words}](outside:{up}{where})"

    def _place(self, path: Path, place: str) -> str | None:
        """Where something of the checkout is, from the top of the documentation; None where it is nowhere."""
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
