"""Provides parts of all commands: common options, the records to read, and output as text, JSON or picture."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from sgbench import HOMES
from sgbench.errors import LONGEST_LINE, InputError, printable, shortened, suggest
from sgbench.paths import RECORD, conf_dir, default_runs_dir, whole_name
from sgbench.tables import few

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.leaderboard.deviation import References
    from sgbench.leaderboard.store.reading import Finding, Layout
    from sgbench.leaderboard.store.tree import RecordTree
    from sgbench.submissions.make import Author

LEADERBOARDS = Path("leaderboards")
LICENCES = ("CC0-1.0", "CC-BY-4.0", "MIT", "Apache-2.0", "BSD-3-Clause")
REST_HINT = "sgbench board build --json names all"
COMMANDS = re.compile(r"\b(?:sgbench|python -m \w+|pip install) [^;)]*")
"""What is pasted as one line."""
TABLE_LINE = re.compile(r"\S {2,}\S")
"""A line of several columns, which is as wide as the table was made."""


class CommandParser(argparse.ArgumentParser):
    """Parses arguments; an error is one line that suggests the nearest command, also in subcommands."""

    def format_help(self) -> str:
        """Write the help, its sentences within the lines of the terminal."""
        width = shutil.get_terminal_size().columns
        return "\n".join(wrapped(line, width) for line in super().format_help().split("\n"))

    def error(self, message: str) -> NoReturn:
        """Raise an InputError with the nearest name for an unknown command; else print the message, exit with 2."""
        choices = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if choices is None or not ("COMMAND" in message or "ACTION" in message):
            hint = "; see: sgbench COMMAND --help" if message.startswith("unrecognized") else ""
            super().error(f"{printable(shortened(message, LONGEST_LINE))}{hint}")
        name = choices.group(1)
        known = [command.strip(" '") for command in choices.group(2).split(",")]
        if name.isidentifier() and (conf_dir() / "sweep" / f"{name}.yaml").is_file():
            near = f"did you mean: sgbench sweep {name}"
        elif name in ("explain", "across", "tuning", "build"):
            near = f"did you mean: sgbench board {name}"
        elif name in HOMES:
            near = f"in Python it is sgbench.{name}; all commands: sgbench --help"
        else:
            near = suggest(name, known, f"{self.prog} --help")
        raise InputError(f"{self.prog} {name}: no such command; {near}")


def shared_options(
    *, entries: bool = True, classes: bool = True, machine: bool = True, picture: str = ""
) -> list[argparse.ArgumentParser]:
    """Return a parent parser with the options that commands share; each flag leaves out those that make no sense."""
    parent = argparse.ArgumentParser(add_help=False)
    common = parent.add_argument_group("shared options")
    if entries:
        text = "folder with entries of your own; may be repeated"
        common.add_argument("--config-dir", action="append", default=[], type=Path, metavar="DIR", help=text)
    if classes:
        text = "a class of your own that entries may name, e.g. my_package.Mine; may be repeated"
        common.add_argument("--allow-target", action="append", default=[], metavar="NAME", help=text)
    if machine:
        common.add_argument("--json", action="store_true", help="print JSON in place of text")
    text = "print all columns, however wide the terminal is; a pipe gets them without it"
    common.add_argument("--wide", action="store_true", help=text)
    if picture:
        common.add_argument("--plot", type=Path, metavar="FILE.png", help=picture)
    return [parent]


def check_picture(args: argparse.Namespace) -> None:
    """Raise an InputError, before anything is computed, if the file of --plot cannot be written."""
    if args.plot is not None:
        from sgbench.plots.style import check_picture_path

        check_picture_path(args.plot)


def answer(
    args: argparse.Namespace, tree: object, text: str | Sequence[str], figure: Callable[[], Figure] | None = None
) -> int:
    """Print the output of a command, with --json `tree` as JSON and else the lines of `text`; return exit code 0.

    With --plot, draw the picture that `figure` makes; None is for commands without one.
    """
    if args.json:
        print_json(tree)
    else:
        print_lines(text)
    if figure is not None and args.plot is not None:
        from sgbench.plots import style

        style.save(figure, args.plot)
        print_picture_path(args)
    return 0


def print_picture_path(args: argparse.Namespace) -> None:
    """Print the path of the picture of --plot, unless the output is JSON."""
    if args.plot is not None and not args.json:
        print_lines(f"picture: {args.plot}")


def screen(args: argparse.Namespace) -> int | None:
    """Return how many characters a line of the terminal has; None where nothing limits it: a pipe, or --wide."""
    return None if getattr(args, "wide", False) else _terminal_width(sys.stdout)


def _terminal_width(to: TextIO) -> int | None:
    return shutil.get_terminal_size().columns if to.isatty() else None


def print_lines(text: str | Sequence[str], to: TextIO | None = None) -> None:
    """Print lines on standard output or `to` at once; control characters are replaced, since names may be untrusted.

    In a terminal, sentences that are longer than its lines continue below their beginning.
    """
    lines = text.split("\n") if isinstance(text, str) else text
    stream = to or sys.stdout
    width = _terminal_width(stream)
    for line in map(printable, lines):
        stream.write(f"{line if width is None else wrapped(line, width)}\n")
    stream.flush()


def wrapped(line: str, width: int) -> str:
    """Break a sentence between words; a line of a table stays, and so does a command, which is pasted whole.

    >>> print(wrapped("  left out: a record of another protocol; next: sgbench board show", 40))
      left out: a record of another
      protocol; next:
      sgbench board show
    """
    if len(line) <= width or TABLE_LINE.search(line) or COMMANDS.match(line.lstrip()):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    whole = COMMANDS.sub(lambda found: found.group().replace(" ", "\0"), line)
    options = {"break_long_words": False, "break_on_hyphens": False, "subsequent_indent": indent}
    return textwrap.fill(whole, width, **options).replace("\0", " ")


def print_json(tree: object) -> None:
    sys.stdout.write(json.dumps(tree, indent=1, sort_keys=True) + "\n")


def add_source(parser: argparse.ArgumentParser, *, default: str, several: bool = False, registry: bool = False) -> None:
    """Add --from, --root and --protocol, which choose the records that a command reads.

    `parser`: parser of a subcommand, which gets the options; `default`: default of --from: "runs" or "leaderboards";
    `registry`: whether --from also offers the boards shipped with the package, the default without a folder.
    """
    choices = ("runs", "leaderboards", *(["registry"] if registry else []))
    kinds = (
        f"your runs, a folder of leaderboards{', or the registry: boards that came with sgbench' if registry else ''}"
    )
    where = f"{default}, or the boards that came with sgbench where there is no such folder"
    parser.add_argument(
        "--from", dest="layout", choices=choices, help=f"{kinds}; default: {where if registry else default}"
    )
    parser.set_defaults(layout_unless_told=default, registry=registry)
    parser.add_argument("--root", type=Path, metavar="DIR", help="that folder; default: runs, or leaderboards")
    if several:
        more = "these protocols alone: with commas, or several times"
        parser.add_argument("--protocol", action="append", metavar="NAMES", help=more)
    else:
        parser.add_argument("--protocol", metavar="NAME", help="this protocol alone")


def add_author(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    parser.add_argument("--contact", required=required, help="a mail address, or @ and a GitHub name")
    parser.add_argument("--paper", help="arXiv:1901.09948, doi:10.1000/x or an https address")
    parser.add_argument("--code", metavar="URL", help="the https address of the code")
    parser.add_argument("--licence", choices=LICENCES, default="CC-BY-4.0", metavar="NAME", help=", ".join(LICENCES))


def author_of(args: argparse.Namespace) -> Author:
    """Read the author of a submission from the arguments."""
    from pydantic import ValidationError

    from sgbench.records.files import first_problem
    from sgbench.submissions.make import Author

    try:
        return Author(name=args.name, contact=args.contact, paper=args.paper, code=args.code, licence=args.licence)
    except ValidationError as error:
        raise InputError(f"--{first_problem(error)}") from error


def references_of(args: argparse.Namespace) -> References:
    """Build the reader of each protocol's reference run, from the catalogue and the user's own folders."""
    from sgbench.leaderboard.deviation import References

    return References(args.config_dir, args.allow_target)


def source_of(args: argparse.Namespace) -> tuple[Path, Layout]:
    """Return the folder of records and its layout; print a note if the shipped boards are used."""
    layout = args.layout or args.layout_unless_told
    if args.root is not None:
        if any(args.root.glob(f"*/[0-9]*/{RECORD}")):
            raise InputError(f"{args.root} is one protocol; give --root {args.root.parent} --protocol {args.root.name}")
        told = args.layout is not None or not any(args.root.glob("*/records"))
        return args.root, layout if told else "leaderboards"
    root = default_runs_dir() if layout == "runs" else LEADERBOARDS
    if layout != "registry" and (args.layout is not None or not args.registry or root.is_dir()):
        return root, layout
    from sgbench.leaderboard.contents import installed, read_shipped

    path, found = installed()
    shown = read_shipped(path) if found == "registry" else path
    missing = "" if args.layout or layout != "runs" else f"no runs in {root} yet; shown are "
    print_lines(f"{missing}{shown}", sys.stderr)
    return path, found


def record_tree(args: argparse.Namespace, *, only: str | None = None) -> RecordTree:
    """Build the object that reads the chosen records: of all protocols, or of the one named `only`."""
    from sgbench.leaderboard.store.tree import RecordTree

    root, layout = source_of(args)
    return RecordTree(root, layout, references_of(args), only)


def own_entry_options(config_dirs: Iterable[Path], allow_targets: Iterable[str]) -> list[str]:
    """List the options that name a user's own entries, which every command that reads their runs needs."""
    folders = (part for folder in config_dirs for part in ("--config-dir", str(folder)))
    return [*folders, *(part for name in allow_targets for part in ("--allow-target", name))]


def chosen_protocols(names: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the protocols that --protocol names, or all `known` ones with records if it is not given.

    Each of `names`, the values of the option, may be several names with commas.
    """
    chosen = [whole_name(name, known) for value in names or () for name in value.split(",")]
    for name in chosen:
        if name not in known:
            raise InputError(f"--protocol {name}: no records of it; {suggest(name, known)}")
    return chosen or list(known)


def left_out_lines(findings: Sequence[Finding]) -> list[str]:
    """Write lines about records without a row, merged by cause; many are cut short.

    Runs of the user's own that deviate from their protocol are noted at the end.
    """
    from sgbench.leaderboard.store.reading import by_cause

    return [
        f"{word}: {line}"
        for word, deviates in (("left out", False), ("not ranked", True))
        for line in few(by_cause(found for found in findings if found.deviates == deviates), REST_HINT)
    ]


def findings_exit_code(findings: Sequence[Finding], *, has_rows: bool = True) -> int:
    """Return 1 if a record is left out that should have a row, or if all there are deviate; else 0."""
    return int(any(not found.deviates for found in findings) or (bool(findings) and not has_rows))


def warn_of_findings(findings: Sequence[Finding]) -> int:
    """Print findings on standard error; return the exit code."""
    for line in left_out_lines(findings):
        sys.stderr.write(printable(line) + "\n")
    return findings_exit_code(findings)
