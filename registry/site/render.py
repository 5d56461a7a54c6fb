"""Renders pages from templates and plain values; every text is escaped, and nothing is marked as safe."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from sgbench.plots.style import SHAPES
from sgbench.tables.table import Table, as_csv, as_json


@dataclass(frozen=True)
class SiteFile:
    """Describes one file of the site, whose bytes `make` computes."""

    path: str  # from the top of the site, with slashes
    make: Callable[[], bytes]
    digest: str | None = None  # hash of a picture's numbers, since its bytes vary between drawing libraries


@dataclass(frozen=True)
class Download:
    """Holds a file that a page offers for download."""

    label: str
    path: str


@dataclass(frozen=True)
class Picture:
    """Holds a picture on a page.

    Its size is part of the page, so that nothing moves when the picture appears.
    """

    path: str
    alt: str  # the picture described in text
    caption: str
    size: tuple[int, int] | None  # width and height [px]; None if unknown


@dataclass(frozen=True)
class Page:
    """Holds the template and the values of a page."""

    path: str
    title: str
    about: str  # one sentence, for search engines and lists of tabs
    template: str
    values: Mapping[str, object]
    section: str = ""  # path of the page's entry in the navigation
    downloads: tuple[Download, ...] = field(default=())
    tables: Mapping[str, Table] = field(default_factory=dict)  # maps names to tables that are also written as files
    kind: str = "page"  # as the search names it
    words: str = ""  # search terms besides `title` and `about`


def downloads_of(path: str, tables: Mapping[str, Table]) -> tuple[Download, ...]:
    """Return the links to the files of a page's tables.

    `tables`: maps names to tables; the name of a single table may be empty.
    """
    return tuple(
        Download(f"{name} {kind.upper()}".strip(), _table_path(path, name, kind))
        for name in tables
        for kind in ("csv", "json")
    )


def table_files(path: str, tables: Mapping[str, Table]) -> Iterator[SiteFile]:
    for name, table in tables.items():
        yield SiteFile(_table_path(path, name, "csv"), lambda table=table: as_csv(table))
        yield SiteFile(_table_path(path, name, "json"), lambda table=table: as_json(table))


def _table_path(path: str, name: str, kind: str) -> str:
    middle = f".{name.replace(' ', '_')}" if name else ""
    return f"{path.removesuffix('.html')}{middle}.{kind}"


SECTIONS = (
    ("index.html", "Which surrogate?"),
    ("boards.html", "Boards"),
    ("surrogates.html", "Surrogates"),
    ("neurons.html", "Neurons"),
    ("across.html", "Across tasks"),
    ("energy.html", "Energy"),
    ("reproductions.html", "Reproductions"),
    ("methodology.html", "Methodology"),
    ("submit.html", "Submit"),
    ("retired.html", "Withdrawn"),
    ("search.html", "Search"),
)
"""Path and title of each entry of the navigation, from left to right."""
DOCS_SECTIONS = (
    ("docs/tutorial/index.html", "Tutorial"),
    ("docs/study/README.html", "Study"),
    ("docs/index.html", "Docs"),
)
"""Further entries of the navigation if the documentation is in docs/ of the site."""
PACKAGE = "registry.site"
STATIC = ("site.js", "charts.js", "compare.js", "search.js")
LINK = re.compile(r"https://\S+")
PAPERS = {"arXiv:": "https://arxiv.org/abs/", "doi:": "https://doi.org/"}


def bar(*, docs: bool) -> tuple[tuple[str, str], ...]:
    """Return (path, title) of each entry of the navigation; `docs` adds those of the documentation."""
    return (*SECTIONS, *DOCS_SECTIONS) if docs else SECTIONS


def render_page(page: Page, *, commit: str, docs: bool = False) -> SiteFile:
    return SiteFile(page.path, lambda: _html(page, commit, docs=docs))


def static_files() -> Iterator[SiteFile]:
    """Yield the style sheet, and the scripts, without which pages work too."""
    folder = files(PACKAGE) / "static"
    for name in STATIC:
        yield SiteFile(f"static/{name}", (folder / name).read_bytes)
    yield SiteFile("static/site.css", lambda: (folder / "site.css").read_bytes() + _palette().encode())


def _palette() -> str:
    """Write the style rules of the six shapes, whose colours are those of the documentation's pictures."""
    looks = enumerate(SHAPES.values())
    return "".join(f".s{place} {{ --c: light-dark({look.light}, {look.dark}); }}\n" for place, look in looks)


def svg(template: str, **values: object) -> bytes:
    return _environment().get_template(template).render(values).encode()


def _html(page: Page, commit: str, *, docs: bool) -> bytes:
    template = _environment().get_template(page.template)
    top = "../" * page.path.count("/")
    text = template.render(page=page, top=top, sections=bar(docs=docs), commit=commit, **page.values)
    return (text.rstrip("\n") + "\n").encode()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Make the environment of the templates, which escapes every value and refuses undefined ones."""
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"spans": spans, "address": address, "pieces": pieces}
    return environment


def spans(text: str) -> list[tuple[bool, str]]:
    """Split a sentence at its backticks into (whether it is code, text) pairs.

    >>> spans("see `sgbench run` first")
    [(False, 'see '), (True, 'sgbench run'), (False, ' first')]
    """
    parts = text.split("`")
    return [(bool(index % 2), part) for index, part in enumerate(parts) if part]


def pieces(text: str) -> list[str]:
    """Split a title at the characters after which a line may break.

    >>> pieces("mlp(recurrence_gradient=cut) on digits_v1")
    ['mlp(', 'recurrence_', 'gradient=', 'cut) on digits_', 'v1']
    """
    return re.findall(r"[^(=_]*[(=_]|[^(=_]+", text)


def address(text: str | None) -> str | None:
    """Return the https address of a paper or code; None for other texts.

    >>> address("arXiv:1901.09948"), address("http://example.org"), address("javascript:alert(1)")
    ('https://arxiv.org/abs/1901.09948', None, None)
    """
    if text is None:
        return None
    for mark, where in PAPERS.items():
        if text.startswith(mark):
            return where + text.removeprefix(mark)
    return text if LINK.fullmatch(text) else None
