"""The map of the house: what docs/architecture.md and docs/index.md say is what is there."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.rooms import PACKAGE, ROOT, catalogue_folders, contract_floors, folders_and_modules, syntax
from tools.documentation.extension import PAGES_OF
from tools.measure import own_files

pytestmark = pytest.mark.lint

MAP = ROOT / "docs" / "architecture.md"
INDEX = ROOT / "docs" / "index.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
ROW = re.compile(r"^\| *(\d*) *\| \[`([\w/.]+)`\]\((\S+)\) \| (.+) \|$", re.MULTILINE)
CODE = re.compile(r"^`([A-Za-z_][\w.]*)`$")
STEP = re.compile(r"^\d+\. (?:.+\n)(?:   .*\n)*", re.MULTILINE)


class Room(NamedTuple):
    """One row of the map's first table."""

    floor: int | None  # None: a part of the room above it
    name: str  # e.g. "leaderboard/store" or "errors"
    sentence: str


def section(text: str, title: str) -> str:
    """The part of a page below one heading, up to the next of its level."""
    body = text.partition(f"\n## {title}\n")[2]
    assert body, title
    return body.partition("\n## ")[0]


def rooms(text: str) -> list[Room]:
    """The rows of the map's first table; each links to what it names."""
    found = []
    for floor, name, target, sentence in ROW.findall(section(text, "Floors and rooms")):
        assert (MAP.parent / target).resolve() == PACKAGE / name, name
        found.append(Room(int(floor) if floor else None, name.removesuffix(".py"), sentence))
    return found


def test_every_folder_and_module_has_a_sentence() -> None:
    """Hand count: one row for each folder and each loose module of the package, and no row for anything else."""
    names = [room.name for room in rooms(MAP.read_text())]
    assert sorted(names) == sorted(folders_and_modules())
    assert all(room.sentence.endswith(".") for room in rooms(MAP.read_text()))


def test_floors_of_the_map_are_those_of_the_import_contract() -> None:
    """Expected: the layers of pyproject.toml, in their order, numbered from 1 at the bottom."""
    floors: dict[int, set[str]] = {}
    for room in rooms(MAP.read_text()):
        if room.floor is not None:
            floors.setdefault(room.floor, set()).add(room.name)
    layers = contract_floors()
    assert list(floors) == list(range(len(layers), 0, -1))
    assert list(floors.values()) == layers


def test_every_room_is_on_a_floor() -> None:
    """Expected: the rooms of the import contract are the folders and loose modules of the package."""
    on_floors = [name for layer in contract_floors() for name in layer]
    assert sorted(on_floors) == sorted(name for name in folders_and_modules() if "/" not in name)
    previous = ""
    for room in rooms(MAP.read_text()):
        # A part stands below the room that it belongs to.
        assert (room.floor is None) == ("/" in room.name), room.name
        if room.floor is None:
            assert room.name.partition("/")[0] == previous, room.name
        else:
            previous = room.name


def test_sentences_are_the_docstrings_of_the_rooms() -> None:
    """Expected: what `__init__.py` says, except in catalogue folders, whose `__init__.py` is empty."""
    for room in rooms(MAP.read_text()):
        init = PACKAGE / room.name / "__init__.py"
        if init.is_file() and room.name not in catalogue_folders():
            assert ast.get_docstring(syntax(init.read_text())) == room.sentence, room.name


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """What a module defines: functions, classes and constants, and the methods and fields of its classes."""
    return frozenset(_names(syntax(path.read_text()).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{node.name}.")
        for target in node.targets if isinstance(node, ast.Assign) else []:
            yield from (prefix + name.id for name in ast.walk(target) if isinstance(name, ast.Name))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield prefix + node.target.id


def named_links(text: str) -> list[tuple[str, Path]]:
    """Links whose text is a name in code and whose target is a Python file that bears another name."""
    found = []
    for label, target in LINK.findall(text):
        code = CODE.match(label)
        if code and target.endswith(".py") and not label.endswith(".py`"):
            found.append((code.group(1), (MAP.parent / target).resolve()))
    return found


def test_every_linked_name_exists() -> None:
    """Expected: each function or class that the map links is defined in the file that it links."""
    links = named_links(MAP.read_text())
    assert links
    assert [(name, path.name) for name, path in links if name not in names_in(path)] == []


@pytest.mark.parametrize("title", ["A run in ten steps", "A board in ten steps"])
def test_walks_have_ten_steps_with_a_function_each(title: str) -> None:
    """Hand count: ten numbered steps, none without a link to a name in code."""
    steps = STEP.findall(section(MAP.read_text(), title) + "\n")
    assert [int(step.partition(".")[0]) for step in steps] == list(range(1, 11))
    assert all(named_links(step) for step in steps)


def test_glossary_defines_each_word_once_and_links_it() -> None:
    """At most thirty rows, each with our word, the field's, and a link to a name in code."""
    lines = section(MAP.read_text(), "Glossary").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    rows = [row for row in cells[2:] if not row[0].startswith("**")]
    words = [word for word, _, _ in rows]
    assert 20 <= len(words) == len(set(words)) <= 30
    assert all(field and named_links(where) for _, field, where in rows)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file names one that is there, and every anchor a heading of its page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    lost = []
    for _, target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            lost.append(target)
    assert lost == []


def test_every_page_is_in_the_index() -> None:
    """Expected: each page of docs, each decision and each schema has its line, and each list of entries."""
    docs = INDEX.parent
    pages = {
        *docs.glob("*.md"),
        docs / "tutorial" / "index.md",
        docs / "study" / "README.md",
        docs / "judged" / "README.md",
        docs / "attached_reset" / "README.md",
        docs / "advice_check" / "README.md",
        docs / "passing_steps" / "README.md",
        docs / "chip" / "README.md",
        docs / "recipes" / "README.md",
        ROOT / "fastspiking" / "README.md",
        *docs.glob("adr/*.md"),
        *docs.glob("schema/*.json"),
        *(ROOT / place for place in PAGES_OF),
    }
    linked = [
        (page.parent / LINK.findall(line)[0][1]).resolve()
        for page in (INDEX, docs / "adr" / "README.md")
        for line in page.read_text().splitlines()
        if line.startswith("| [")
    ]
    assert sorted(linked) == sorted(pages - {INDEX})


def test_each_folder_at_the_top_says_what_it_is() -> None:
    """Expected: a first line in README, index, docstring or comment; none has the name of a room."""
    tops = {path.parts[0] for path in own_files() if len(path.parts) > 1} | {"conf", "docs", "leaderboards", "tests"}
    for top in sorted(tops):
        said = [ROOT / top / name for name in ("README.md", "index.md", "__init__.py", "config.yaml")]
        (first, *_) = [path.read_text(encoding="utf-8").strip('#" \n') for path in said if path.is_file()]
        assert len(first.splitlines()[0]) > 10, top
    assert not tops & {name.partition("/")[0] for name in folders_and_modules()}
