"""`python -m tools.documentation.links DIR`: whether links of a site lead somewhere, and it loads its own alone."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
OUT = re.compile(r"(https?://[^\s/$.?#][^\s]*|mailto:[^\s@]+@[^\s@]+|data:.*)", re.DOTALL)
"""What an address elsewhere has to look like; whether somebody answers there is not asked."""
LINKING = {"a": "href", "link": "href", "img": "src", "script": "src", "iframe": "src", "source": "src"}
LOADED = ("stylesheet", "icon", "preload", "preconnect")
"""What a browser does with a link of the head by itself, by its `rel`."""


@dataclass
class Links(HTMLParser):
    """Collects the links and the named places of one page."""

    targets: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)  # those that a browser asks for by itself

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        target = values.get(LINKING.get(tag, ""))
        if target:
            self.targets.append(target)
            if tag not in ("a", "link") or (values.get("rel") or "") in LOADED:
                self.loaded.add(target)
        self.places |= {value for key in ("id", "name") if (value := values.get(key))}


def broken(site: Path) -> Iterator[str]:
    """Yield a line on each link of a site that leads nowhere, to an address of no form, or loads from elsewhere."""
    pages = sorted(page for page in site.rglob("*.html") if "_static" not in page.parts)  # a theme's templates
    for page in pages:
        for target in dict.fromkeys(_read(page).targets):
            if SCHEME.match(target):
                if target in _read(page).loaded and not target.startswith("data:"):
                    yield f"{page.relative_to(site)}: {target}: is loaded from elsewhere"
                elif OUT.fullmatch(target) is None:
                    yield f"{page.relative_to(site)}: {target}: no address"
                continue
            file, _, place = target.partition("#")
            path = (page.parent / unquote(file.partition("?")[0])).resolve() if file else page
            if not path.is_file():
                yield f"{page.relative_to(site)}: {target}: no such file"
            elif place and path.suffix == ".html" and unquote(place) not in _read(path).places:
                yield f"{page.relative_to(site)}: {target}: no such place on that page"


@lru_cache(maxsize=4096)
def _read(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def main(argv: list[str]) -> int:
    """Print a line for each broken link of the site in a folder; return 1 if there is one, else 0."""
    (folder,) = argv
    complaints = [*broken(Path(folder))]
    for line in complaints:
        sys.stdout.write(f"{line}\n")
    pages = len([*Path(folder).rglob("*.html")])
    sys.stdout.write(f"{folder}: {pages} pages, {len(complaints)} broken links\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
