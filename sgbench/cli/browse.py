"""`sgbench list` and `sgbench show`: the catalogue, read without importing its classes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, print_json, print_lines, screen, shared_options
from sgbench.composition import catalogue, selection
from sgbench.composition.entry_text import as_dict, columns, entry_text, list_row
from sgbench.errors import InputError
from sgbench.paths import RECORD

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def register(commands: Any) -> None:
    """Add `sgbench list`, `show` and `check-entry` to the command line."""
    listing = commands.add_parser(
        "list", help="groups, or the entries of a group", parents=shared_options(classes=False)
    )
    listing.add_argument("group", nargs="?", help="e.g. surrogate; none lists the groups")
    selection.add_filters(listing)
    listing.set_defaults(handler=list_entries)
    showing = commands.add_parser(
        "show",
        help="one entry, or a run: parameters, sources, picture",
        parents=shared_options(picture="draw a surrogate, a neuron or a run"),
    )
    showing.add_argument("name", metavar="GROUP/NAME|RUN", help="e.g. surrogate/atan, or a folder with a record")
    showing.add_argument("--samples", type=int, default=1, help="of a run that are replayed, default: 1")
    showing.set_defaults(handler=show_entry)
    checking = commands.add_parser(
        "check-entry",
        help="run the contracts on an entry in a folder of your own",
        parents=shared_options(entries=False, machine=False),
    )
    checking.add_argument("path", type=Path, metavar="FILE", help="e.g. my_conf/surrogate/mine.yaml")
    checking.set_defaults(handler=check_own_entry)


def check_own_entry(args: argparse.Namespace) -> int:
    """Print a line for each contract that an entry in the user's own folder breaks; return 1 if any is broken."""
    from sgbench.yours.entry_check import check_entry

    problems = check_entry(args.path, args.allow_target)
    print_lines(problems or f"{args.path}: keeps the contracts of its group")
    return 1 if problems else 0


def list_entries(args: argparse.Namespace) -> int:
    """Answer `sgbench list`: the groups, or the entries of one that pass the filters."""
    if args.group is None:
        return _list_groups(args)
    known = catalogue.entries(args.group, args.config_dir)
    selected = selection.select(args.group, known, args)
    if args.json:
        print_json([as_dict(entry) for entry in selected.values()])
        return 0
    if selected:
        rows = [list_row(name, entry) for name, entry in selected.items()]
        print_lines(columns(rows, screen(args)).removesuffix("\n"))
    else:
        print_lines(f"no {args.group} passes {' '.join(selection.filters_in_use(args))}")
    counts = {} if args.library else selection.preset_counts(args.group, known, args)
    if counts:
        print_lines(["", _preset_line(args.group, counts)])
    return 0


def _list_groups(args: argparse.Namespace) -> int:
    """List all groups with their entries; presets of other libraries are only counted."""
    filters = selection.filters_in_use(args)
    if filters:
        raise InputError(f"list {' '.join(filters)}: a group is needed, e.g. sgbench list surrogate {filters[0]}")
    groups = {group: catalogue.entries(group, args.config_dir) for group in catalogue.groups()}
    rows = []
    for group, known in groups.items():
        names = [name for name, entry in known.items() if not selection.is_preset(entry)]
        presets = len(known) - len(names)
        more = f"; {presets} presets of libraries: sgbench list {group}" if presets else ""
        rows.append((group, ", ".join(names) + more))
    tree = {group: list(known) for group, known in groups.items()}
    return answer(args, tree, columns(rows, screen(args)).removesuffix("\n"))


def _preset_line(group: str, counts: dict[str, int]) -> str:
    """Say how many presets of which libraries are not listed, and how to list them."""
    libraries = ", ".join(f"{library} {count}" for library, count in sorted(counts.items()))
    total = sum(counts.values())
    presets = "preset" if total == 1 else "presets"
    of = f"of {len(counts)} libraries" if len(counts) > 1 else "of one library"
    example = "snntorch" if "snntorch" in counts else min(counts)
    return f"{total} {presets} {of} ({libraries}); to list them: sgbench list {group} --library {example}"


def show_entry(args: argparse.Namespace) -> int:
    """Answer `sgbench show`: an entry of the catalogue or, if a record lies there, a run."""
    group, _, name = args.name.partition("/")
    is_entry = group in catalogue.groups() and name in catalogue.entries(group, args.config_dir)
    if (Path(args.name) / RECORD).is_file() and not is_entry:
        return _show_run(args)
    if not name:
        raise InputError(f"'{args.name}': GROUP/NAME is needed, e.g. surrogate/atan; see: sgbench list")
    entry = catalogue.entry(group, name, args.config_dir)

    def figure() -> Figure:
        from sgbench.training.entries import portrait

        return portrait(entry, config_dirs=args.config_dir, allow_targets=args.allow_target)

    return answer(args, as_dict(entry), entry_text(entry, args.config_dir).removesuffix("\n"), figure)


def _show_run(args: argparse.Namespace) -> int:
    """Print the scores and origin of a stored run, and draw it with --plot."""
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.sweeps.outcome import result_line

    folder = Path(args.name)
    record = read_model(folder / RECORD, RunRecord)

    def figure() -> Figure:
        from sgbench.training.stored_run import figure_of_run

        options = {"config_dirs": args.config_dir, "allow_targets": args.allow_target}
        return figure_of_run(folder, samples=args.samples, **options)

    return answer(args, record.model_dump(mode="json"), result_line(record), figure)
