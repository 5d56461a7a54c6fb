"""The reference pages: one for what `import sgbench` offers, one a room, each from docstrings by autodoc."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import fastspiking
import sgbench

PACKAGE = Path(sgbench.__file__).parent
ENGINES = Path(fastspiking.__file__).parent
FIRST = "python"
"""The page of what `import sgbench` offers."""
INNER = {"cli", "reproduction", "study_runner"}
"""Rooms, with what is in them, that only commands use; they have no page."""


def api_pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the Markdown of each reference page: the index, `import sgbench`, loose modules, and rooms."""
    folders = (path.parent for package in (ENGINES, PACKAGE) for path in package.rglob("__init__.py"))
    rooms = sorted(filter(has_page, folders))
    lines = [
        f"| [`{_dotted(room).removeprefix('sgbench.')}`]({page_of(room)}.md) | {_sentence(room)} |" for room in rooms
    ]
    names = "\n".join([FIRST, "modules", *map(page_of, rooms)])
    yield (
        "index",
        "# Reference\n\nFrom the docstrings of the code. [`import sgbench`](python.md) is for most; a room is "
        "a folder of the package, and [architecture](../architecture.md) says what each may import.\n\n"
        "| room | what it does |\n| --- | --- |\n" + "\n".join(lines) + "\n\n"
        f"```{{toctree}}\n:hidden:\n\n{names}\n```\n",
    )
    yield FIRST, _python_page()
    loose = sorted(path for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "__main__", *sgbench.__all__))
    yield "modules", "# Loose modules\n\n" + "\n".join(_automodule(path) for path in loose)
    for room in rooms:
        files = sorted(path for path in room.glob("*.py") if path.stem != "__init__")
        title = _dotted(room).removeprefix("sgbench.")
        yield page_of(room), f"# `{title}`\n\n{_sentence(room)}\n\n" + "\n".join(map(_automodule, files))


def has_page(room: Path) -> bool:
    """Return whether a folder of one of the packages has a page of its own; compiled loops have none."""
    if room.is_relative_to(ENGINES):
        return room.name != "kernels"
    place = room.relative_to(PACKAGE).as_posix()
    return room != PACKAGE and not any(place == inner or place.startswith(f"{inner}/") for inner in INNER)


def page_of(room: Path) -> str:
    """Return the name of a room's page, e.g. "leaderboard_store"."""
    return _dotted(room).removeprefix("sgbench.").replace(".", "_")


def _python_page() -> str:
    """Write the page of what `import sgbench` offers, a directive for each name."""
    parts = []
    for name in (each for each in sgbench.__all__ if not each.startswith("__")):
        value = getattr(sgbench, name)
        kind = "autoclass" if inspect.isclass(value) else "automodule" if inspect.ismodule(value) else "autofunction"
        # callbacks is a room, which has a page of its own
        members = "   :members:\n" if kind == "autoclass" or name == "metrics" else ""
        parts.append(f"```{{eval-rst}}\n.. {kind}:: sgbench.{name}\n   :no-index:\n{members}```\n")
    head = "# `import sgbench`\n\nWhat is named here is loaded by its first use, not by importing `sgbench`.\n\n"
    return head + "\n".join(parts)


def _automodule(path: Path) -> str:
    """Write the directive of a module, and import it as a run does.

    Autodoc imports what is not there yet with `TYPE_CHECKING` set, which leaves models of pydantic unfinished.
    """
    name = _dotted(path.with_suffix(""))
    importlib.import_module(name)
    return f"```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n"


def _dotted(path: Path) -> str:
    """Return the dotted name of a module or a package."""
    return ".".join(path.relative_to(PACKAGE.parent).parts)


def _sentence(room: Path) -> str:
    """Return what a room does, by its docstring."""
    return ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or "Entries of the catalogue."
