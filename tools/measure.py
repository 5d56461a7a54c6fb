"""Measure how large each room of the repository is, and what its lines are made of.

    python -m tools.measure                 # a row a room, and of all
    python -m tools.measure --tighten       # lower the budget of tests/lint/budget.json to today's counts
    python -m tools.measure FOLDER ...      # of any folders, for example an installed package beside ours

A room is a folder below `sgbench/` or a folder of code beside it; tests are not counted. Lines: `docs` are those of
docstrings, `comments` those with nothing but a comment, `heads` signatures and decorators. A function's body begins
below its docstring, and is short with three lines or fewer. A private function
has a leading underscore or lies in a function.
"""

import argparse
import ast
import json
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT, SHORT = Path(__file__).resolve().parent.parent, 3
BUDGET = ROOT / "tests" / "lint" / "budget.json"
COLUMNS = (
    *("lines", "files", "statements", "functions", "public", "private", "body_median", "body_p90", "short_bodies"),
    *("docs", "blanks", "comments", "imports", "heads", "private_with_docs"),
)
SHARES = ("docs", "blanks", "comments", "imports", "heads")
"""Counts of lines that a row gives in per cent of all."""
BUDGETED = ("files", "functions", "public", "statements")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Count:
    """Counts what a room holds, file by file."""

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.bodies: list[int] = []

    def add(self, text: str) -> None:
        """Count what a file of Python with this text holds."""
        tree, lines = ast.parse(text), text.splitlines()
        documented = set().union(*map(_doc_lines, ast.walk(tree)))  # numbers of lines
        others = [line.strip() for number, line in enumerate(lines, 1) if number not in documented]
        self.numbers.update(files=1, lines=len(lines), docs=len(documented))
        self.numbers.update(blanks=others.count(""), comments=sum(line.startswith("#") for line in others))
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt) and not _is_doc(node):
                self.numbers["statements"] += 1
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.numbers["imports"] += 1 + (node.end_lineno or node.lineno) - node.lineno
        self._functions(tree, public=True)

    def _functions(self, tree: ast.AST, *, public: bool) -> None:
        """Count the functions and classes below a node; `public`: whether all around it can be imported by name."""
        for node in ast.iter_child_nodes(tree):
            is_public = public
            if isinstance(node, Function | ast.ClassDef):
                is_public = public and not (node.name.startswith("_") and not node.name.endswith("__"))
                self.numbers["public"] += is_public
                self.numbers["heads"] += _head(node)
            if isinstance(node, Function):
                has_docs = ast.get_docstring(node) is not None
                self.numbers.update(functions=1, private=not is_public, private_with_docs=has_docs and not is_public)
                self.bodies.append(_body(node))
                is_public = False
            self._functions(node, public=is_public)

    def row(self) -> dict[str, int]:
        """Return the value of each of `COLUMNS`; shares are in per cent."""
        bodies = sorted(self.bodies) or [0]
        values = {name: self.numbers[name] for name in COLUMNS}
        values["body_median"] = round(statistics.median(bodies))
        values["body_p90"] = bodies[min(len(bodies) - 1, int(0.9 * len(bodies)))]
        values["short_bodies"] = round(100 * sum(body <= SHORT for body in bodies) / len(bodies))
        values |= {name: round(100 * values[name] / (values["lines"] or 1)) for name in SHARES}
        values["private_with_docs"] = round(100 * self.numbers["private_with_docs"] / (self.numbers["private"] or 1))
        return values


def _is_doc(node: ast.AST) -> bool:
    """Return whether a statement is a text alone: a docstring, or the explanation below a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _doc_lines(node: ast.AST) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or 0) + 1)) if _is_doc(node) else set()  # type: ignore[attr-defined]


def _head(node: Function | ast.ClassDef) -> int:
    """Count the lines of decorators and signature."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return max(1, node.body[0].lineno - first)


def _body(node: Function) -> int:
    """Count the lines of a function's body without its docstring, unless that is all of it."""
    first, *others = node.body
    line_above = first.end_lineno if others and _is_doc(first) else first.lineno - 1
    return (node.end_lineno or 0) - (line_above or 0)


def room_of(path: Path) -> str:
    """Name the room of a file of this repository.

    >>> room_of(Path("sgbench/leaderboard/store/tree.py")), room_of(Path("sgbench/errors.py"))
    ('sgbench/leaderboard', 'sgbench')
    >>> room_of(Path("study/chip/analysis/report.py")), room_of(Path("conftest.py"))
    ('study', '.')
    """
    folders = path.parent.parts
    return "/".join(folders[: 2 if folders[:1] == ("sgbench",) else 1]) or "."


def count_rooms(paths: Iterable[Path], root: Path = ROOT) -> dict[str, Count]:
    rooms: defaultdict[str, Count] = defaultdict(Count)
    for path in paths:
        rooms[room_of(path)].add((root / path).read_text(encoding="utf-8"))
    return dict(sorted(rooms.items()))


def own_files() -> list[Path]:
    """List the Python files of this repository that are no tests, those that git does not know yet too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    return sorted({Path(name) for name in found if "tests" not in Path(name).parts and (ROOT / name).exists()})


def read_budget() -> dict[str, dict[str, int]]:
    return json.loads(BUDGET.read_text(encoding="utf-8"))


def budgeted(rooms: dict[str, Count]) -> dict[str, dict[str, int]]:
    return {room: {name: count.numbers[name] for name in BUDGETED} for room, count in rooms.items()}


def tighten() -> None:
    """Lower each number of the budget to today's count; a room that is new gets today's counts."""
    today, agreed = budgeted(count_rooms(own_files())), read_budget() if BUDGET.exists() else {}
    lower = {
        room: {name: min(count, agreed.get(room, {}).get(name, count)) for name, count in counts.items()}
        for room, counts in today.items()
    }
    lines = [f" {json.dumps(room)}: {json.dumps(counts)}" for room, counts in lower.items()]
    BUDGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main(words: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tools.measure", description="Measure each room's size.")
    options.add_argument("--tighten", action="store_true", help="lower the budget to today's counts")
    options.add_argument("folders", nargs="*", type=Path, help="folders to measure in place of this repository")
    args = options.parse_args(words)
    if args.tighten:
        tighten()
        return 0
    if args.folders:
        rooms = {
            folder.name: count_rooms([path.relative_to(folder) for path in sorted(folder.rglob("*.py"))], folder)
            for folder in args.folders
        }
        every = {name: _together(counts.values()) for name, counts in rooms.items()}
    else:
        every = count_rooms(own_files())
    every["all"] = _together(every.values())
    sys.stdout.write("\t".join(["room", *COLUMNS]) + "\n")
    for room, count in every.items():
        sys.stdout.write("\t".join([room, *map(str, count.row().values())]) + "\n")
    return 0


def _together(counts: Iterable[Count]) -> Count:
    """Add up the counts of rooms."""
    total = Count()
    for count in counts:
        total.numbers.update(count.numbers)
        total.bodies += count.bodies
    return total


if __name__ == "__main__":
    raise SystemExit(main())
