"""`sgbench sweep`: run a shipped sweep by name, and show its results or status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.cli.common import (
    CommandParser,
    answer,
    check_picture,
    own_entry_options,
    print_lines,
    screen,
    shared_options,
)
from sgbench.errors import InputError, one_printable_line, shortened
from sgbench.tables import aligned, few

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.sweeps.results import Results

USAGE = """usage: sgbench sweep NAME [OVERRIDE ...]
       sgbench sweep show NAME|group=NAME|OVERRIDE ... [--root DIR]
                          [--plot FILE.png] [--json]
       sgbench sweep status NAME|group=NAME|OVERRIDE ... [--root DIR]

Run a sweep (as sgbench run sweep=NAME does), show what came of it, or how far
it is, from any machine that sees its folder. Overrides narrow or change it.

  sgbench sweep suite_tiny protocol.epochs=2 seed=0    # to try it out
  sgbench sweep surrogate_x_lr surrogate=atan,triangle seed=0,1
  sgbench sweep show surrogate_x_lr surrogate=atan,triangle seed=0,1
  sgbench sweep status group=mine    # of: sgbench run -m group=mine ...

A finished run is not repeated; an interrupted sweep continues with the same
arguments. See also: sgbench run --help
"""
LONGEST_TITLE = 60  # characters that fit over a picture


def sweep_command(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["show"]:
        return _show(show_parser().parse_intermixed_args(arguments[1:]))
    if arguments[:1] == ["status"]:
        return _status(show_parser().parse_intermixed_args(arguments[1:]))
    if not arguments or arguments[0] in ("-h", "--help"):
        return _print_usage()
    name, *rest = arguments
    if name.startswith("-") or "=" in name:
        raise InputError(f"sweep {name}: the name of a sweep comes first; sgbench sweep lists them")
    if "-h" in rest or "--help" in rest:
        return _print_usage()
    from sgbench.cli.run import run_command
    from sgbench.composition import catalogue

    entry = catalogue.entry("sweep", name, _config_dirs(rest))
    code = run_command([f"sweep={name}", *rest])
    if entry.meta.get("table"):
        print_lines(["", *_results_table(name, rest).split("\n")])
    return code


def _results_table(name: str, arguments: Sequence[str]) -> str:
    """Write the table of a sweep that has just run; the arguments are those of its run."""
    from sgbench.sweeps.points import read_grid
    from sgbench.sweeps.results import read_results
    from sgbench.sweeps.text import as_text

    known, rest = show_parser().parse_known_intermixed_args([name, *arguments])
    overrides = [override for override in (*known.overrides, *rest) if "=" in override and not override.startswith("-")]
    grid = read_grid(name, overrides, config_dirs=known.config_dir, allow_targets=known.allow_target)
    again = " ".join(["sgbench sweep", name, *arguments])
    return as_text(read_results(grid, config_dirs=known.config_dir), again, screen(known))


def _config_dirs(arguments: Sequence[str]) -> list[Path]:
    """Return the folders that --config-dir names among the arguments of a sweep."""
    parser = CommandParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-dir", "-cd", type=Path, action="append", default=[])
    try:
        return parser.parse_known_args(arguments)[0].config_dir
    except argparse.ArgumentError as error:
        raise InputError(f"--config-dir: {error.message}") from error


def _print_usage() -> int:
    """Print how sweeps are started, and the names of all."""
    from sgbench.composition import catalogue
    from sgbench.sweeps.points import count_runs

    known = catalogue.entries("sweep")
    rows = [["sweep", "runs", ""], *([name, str(count_runs(entry)), entry.line] for name, entry in known.items())]
    print_lines([*USAGE.split("\n"), *aligned(rows, text_columns=3, width=screen(argparse.Namespace()))])
    return 0


def show_parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="sgbench sweep show",
        description="What came of a sweep: a table, and a picture if asked for.",
        parents=shared_options(picture="heat maps, curves or dots"),
    )
    parser.add_argument("name", metavar="NAME", help="see: sgbench sweep")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="those that it was run with")
    parser.add_argument("--root", type=Path, metavar="DIR", help="the runs folder (default: paths.runs_dir)")
    parser.add_argument(
        "--of",
        choices=("validation", "failed", "spikes"),
        default="validation",
        help="what is drawn: scores, the share of failed runs, or scores against spikes",
    )
    return parser


def _show(args: argparse.Namespace) -> int:
    """Print the results of a sweep, and draw them with --plot; an InputError if no run has a record."""
    from sgbench.sweeps.text import as_text, as_tree

    check_picture(args)
    results, again = _read_results(args)
    for line in few(results.unreadable, "--json names all"):
        sys.stderr.write(f"sgbench: left out: {one_printable_line(InputError(line))}\n")
    if not any(row.validation for row in results.rows):
        raise InputError(
            f"sweep '{results.name}': none of its {results.count('missing')} runs has a record in {results.root}; "
            f"make them with: {again}"
        )
    titled = replace(results, protocol=_protocol_title(results.protocol, args.overrides))
    text = as_text(results, again, screen(args))
    return answer(args, as_tree(results), text, lambda: _figure(titled, args.of))


def _read_results(args: argparse.Namespace) -> tuple[Results, str]:
    """Read the results of the named sweep, and the command that would go on with it."""
    from sgbench.sweeps.points import grid_of, read_grid
    from sgbench.sweeps.results import read_results

    if args.root is not None and not args.root.is_dir():
        raise InputError(f"--root {args.root}: no such folder; name the one that the sweep was run in")
    key, _, group = args.name.partition("=")
    if key == "group":
        _insert_remembered(args, group)
    if "=" in args.name:
        name, words = group if key == "group" else "sweep", [args.name, *args.overrides]
        grid = grid_of(name, words, config_dirs=args.config_dir, allow_targets=args.allow_target)
    else:
        grid = read_grid(args.name, args.overrides, config_dirs=args.config_dir, allow_targets=args.allow_target)
    return read_results(grid, root=args.root, config_dirs=args.config_dir), _sweep_command(args)


def _insert_remembered(args: argparse.Namespace, group: str) -> None:
    """Put the overrides and options that a group of runs was last swept with before those in `args`, which win."""
    from sgbench.composition.overrides import Overrides
    from sgbench.paths import default_runs_dir
    from sgbench.sweeps.saved import recall

    typed = Overrides.of([args.name, *args.overrides]).settings
    last_sweep = recall(args.root or Path(typed.get("paths.runs_dir", default_runs_dir())), group)
    remembered = Overrides.of(last_sweep.words).parsed
    args.overrides = [
        *(override.input_line for override in remembered if override.get_key_element().lstrip("+~") not in typed),
        *args.overrides,
    ]
    args.config_dir = [*map(Path, last_sweep.config_dirs), *args.config_dir]
    args.allow_target = [*last_sweep.allow_targets, *args.allow_target]


def _status(args: argparse.Namespace) -> int:
    """Print the progress of a sweep: counts of runs, and the best so far with its interval over seeds."""
    from sgbench.sweeps.text import as_status

    results, again = _read_results(args)
    print_lines(as_status(results, again))
    return 0


def _figure(results: Results, what: str) -> Figure:
    """Draw a sweep's scores, its share of failed runs, or its scores against spikes."""
    from sgbench.plots.sweep import sweep_figure
    from sgbench.plots.sweep_panels import spikes_figure
    from sgbench.sweeps.api import failed_map, picture_of

    if what == "failed":
        return sweep_figure(failed_map(results))
    return (spikes_figure if what == "spikes" else sweep_figure)(picture_of(results))


def _protocol_title(name: str, overrides: Sequence[str]) -> str:
    """Name a protocol for a picture's title, with what the command line changes of it.

    >>> _protocol_title("digits_v1", ["protocol.epochs=2", "surrogate=atan", "seed=0"])
    'digits_v1 with epochs=2'
    """
    changed = [
        override.lstrip("+").removeprefix("protocol.")
        for override in overrides
        if override.lstrip("+").startswith("protocol.")
    ]
    return shortened(f"{name} with {', '.join(changed)}", LONGEST_TITLE) if changed else name


def _sweep_command(args: argparse.Namespace) -> str:
    flags = own_entry_options(args.config_dir, args.allow_target)
    where = [] if args.root is None else [f"paths.runs_dir={args.root}"]
    start = "sgbench run -m" if "=" in args.name else "sgbench sweep"
    return " ".join([start, args.name, *args.overrides, *where, *flags])
