"""What the subcommands of `board` and `submit` have in common: options, and what they say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.errors import InputError, printable, suggest
from sgbench.paths import default_runs_dir
from sgbench.tables import few

if TYPE_CHECKING:
    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.store.reading import Finding, Layout
    from sgbench.leaderboard.store.tree import RecordTree

LEADERBOARDS = Path("leaderboards")
UNKNOWN = "none"
GIT_S = 20.0  # that git may take
ALL_NAMED = "sgbench board build --json names all"


def add_source(
    parser: argparse.ArgumentParser, *, default: str, several: bool = False, registry: bool = False
) -> None:
    """Add the options that say which records are read: of runs or of boards, where, of which protocol.

    Args:
        parser: of a subcommand.
        default: where records come from unless told.
        several: whether several protocols may be named.
        registry: whether the boards that came with the package serve too, and are taken where no folder is.
    """
    choices = ("runs", "leaderboards", *(["registry"] if registry else []))
    where = f"{default}, or the boards that came with sgbench where there is no such folder"
    parser.add_argument(
        "--from", dest="layout", choices=choices, help=f"default: {where if registry else default}"
    )
    parser.set_defaults(layout_unless_told=default, registry=registry)
    parser.add_argument("--root", type=Path, metavar="DIR", help="default: the runs folder, or leaderboards")
    if several:
        more = "these protocols alone: with commas, or several times"
        parser.add_argument("--protocol", action="append", metavar="NAMES", help=more)
    else:
        parser.add_argument("--protocol", metavar="NAME", help="this protocol alone")


def references_of(args: argparse.Namespace) -> References:
    """Build the references of the catalogue, with the user's own folders."""
    from sgbench.leaderboard.deviation import References

    return References(args.config_dir, args.allow_target)


def source_of(args: argparse.Namespace) -> tuple[Path, Layout]:
    """Return where the records lie and how, and say so where the boards that came with the package serve.

    Raises:
        InputError: there is neither a folder nor a registry.
    """
    layout = args.layout or args.layout_unless_told
    if args.root is not None:
        return args.root, layout
    root = default_runs_dir() if layout == "runs" else LEADERBOARDS
    if layout != "registry" and (args.layout is not None or not args.registry or root.is_dir()):
        return root, layout
    from sgbench.leaderboard.registry import installed, read_registry

    path, found = installed()
    told = read_registry(path) if found == "registry" else path
    missing = "" if args.layout else f"no folder {root} here: "
    sys.stderr.write(printable(f"{missing}{told}") + "\n")
    return path, found


def tree_of(args: argparse.Namespace, *, only: str | None = None) -> RecordTree:
    """Name the records that are read, of all protocols or of one."""
    from sgbench.leaderboard.store.tree import RecordTree

    root, layout = source_of(args)
    return RecordTree(root, layout, references_of(args), only)


def commit_of(root: Path) -> str:
    """Return the last commit that changed the records of a folder, or explain why there is none to name."""
    from sgbench.training.git import FAILURES, ask

    try:
        commit = ask(root, "log", "-1", "--format=%H", "--", ".", timeout_s=GIT_S).decode().strip()
        changed = ask(root, "status", "--porcelain", "--", ".", timeout_s=GIT_S).strip()
    except FAILURES:
        return UNKNOWN
    return f"{commit or UNKNOWN}{', with changes' if changed else ''}"


def asked(names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the protocols asked for, or all known ones.

    Raises:
        InputError: one that is not known; the message offers the nearest.
    """
    chosen = [name for given in names or () for name in given.split(",")]
    for name in chosen:
        if name not in known:
            raise InputError(f"--protocol {name}: no records of it; {suggest(name, known)}")
    return chosen or list(known)


def warn(findings: Sequence[Finding]) -> int:
    """Print on standard error what was left out, and return the exit code."""
    from sgbench.leaderboard.store.reading import by_cause

    for line in few(by_cause(findings), ALL_NAMED):
        sys.stderr.write(printable(f"left out: {line}") + "\n")
    return 1 if findings else 0
