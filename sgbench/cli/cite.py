"""`sgbench cite`: BibTeX of what a method or an entry comes from, and of this package."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import LEADERBOARDS, answer, references_of, shared_options
from sgbench.errors import InputError
from sgbench.paths import RECORD, default_runs_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sgbench.composition.catalogue import Entry
    from sgbench.leaderboard.store.tree import RecordTree
    from sgbench.records.spec import Method

METHOD_ID = re.compile(r"[0-9a-f]{4,12}")
EPILOG = """examples:
  sgbench cite surrogate/atan neuron/alif > papers.bib
  sgbench cite 2c79c5b1e6a0                 # all entries of a method of a board
  sgbench cite                              # this package"""


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "cite",
        help="BibTeX of a method's or an entry's sources, and of sgbench",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared_options(),
    )
    parser.add_argument("what", nargs="*", metavar="METHOD|GROUP/NAME", help="id of a method, or an entry")
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="of boards; default: your own runs, then leaderboards or the boards that came with sgbench",
    )
    parser.set_defaults(handler=cite)


def cite(args: argparse.Namespace) -> int:
    """Print the BibTeX entries of the named methods and catalogue entries, each source once."""
    from dataclasses import asdict

    from sgbench.composition.citations import bibliography, cite_entries

    entries = [entry for argument in args.what for entry in _entries(argument, args)]
    citations = cite_entries(entries)
    return answer(args, [asdict(citation) for citation in citations], bibliography(citations).rstrip("\n"))


def _entries(argument: str, args: argparse.Namespace) -> Iterator[Entry]:
    """Yield the entries to cite: those of a method's id, or the named one."""
    from sgbench.composition.catalogue import entry

    if METHOD_ID.fullmatch(argument):
        yield from _entries_of_method(argument, args)
        return
    group, _, name = argument.partition("/")
    if not name:
        raise InputError(f"{argument}: the id of a method, or an entry such as surrogate/atan, is needed")
    yield entry(group, name, args.config_dir)


def _entries_of_method(start: str, args: argparse.Namespace) -> Iterator[Entry]:
    """Yield the entries of the one method whose id begins with `start`; an InputError for none or several."""
    from dataclasses import replace

    from sgbench.composition.citations import entries_of_method
    from sgbench.leaderboard.contents import contents_of, installed
    from sgbench.leaderboard.store.tree import RecordTree

    own = {} if args.root else _own_methods(start)
    if len(own) == 1:
        yield from entries_of_method(next(iter(own.values())).choices, args.config_dir)
        return
    root = args.root or LEADERBOARDS
    source = (root, "leaderboards") if args.root or root.is_dir() else installed()
    tree = RecordTree(*source, references_of(args))
    methods = {
        method.method_id: method.method
        for name in _boards_with(start, tree)
        for method in contents_of(replace(tree, only=name)).boards[name].measured
        if method.method_id.startswith(start)
    }
    if len(methods) != 1:
        where = f"{default_runs_dir()} and {source[0]}" if default_runs_dir().is_dir() else source[0]
        count = len({*own, *methods})
        many = f"{count} methods of {where} have" if count else f"no method of {where} has"
        raise InputError(f"{start}: {many} such an id; sgbench board show names them")
    (method,) = methods.values()
    yield from entries_of_method(method.choices, args.config_dir)


def _own_methods(start: str) -> dict[str, Method]:
    """Map the ids that begin with `start` to their methods, of the user's own runs, ranked or not."""
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord

    paths = {path.parent.parent.name: path for path in default_runs_dir().glob(f"*/{start}*/*/{RECORD}")}
    return {method_id: read_model(path, RunRecord).method for method_id, path in paths.items()}


def _boards_with(start: str, tree: RecordTree) -> Iterator[str]:
    """Name the protocols with a row whose id begins with `start`."""
    from sgbench.leaderboard.contents import protocols_of
    from sgbench.leaderboard.store.stored import StoredRecords

    for name in protocols_of(tree):
        rows = (start,) if tree.layout == "registry" else StoredRecords(tree.root / name).rows()
        if any(row.startswith(start) for row in rows):
            yield name
