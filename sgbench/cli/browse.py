"""`sgbench list`, `show` and `compare`: the catalogue, read without importing what it names unless it is drawn."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.composition import catalogue, selection
from sgbench.errors import InputError, require_number
from sgbench.paths import RECORD
from sgbench.tables import aligned

if TYPE_CHECKING:
    from sgbench.surrogates.base import Surrogate

PLOTTED = ("surrogate", "neuron")
FEWEST, MOST = 2, 12
SURROGATE = "surrogate"
COMPARED = ("name", "peak", "area", "width", "10 % width", "support", "kinks", "primitive")
PRESET_KEYS = ("library", "version", "calls", "canonical", "conversion", "bug", "legacy")


def register(commands: Any) -> None:
    """Add the three subcommands."""
    listing = commands.add_parser("list", help="groups, or the entries of a group")
    listing.add_argument("group", nargs="?", help="e.g. surrogate; none lists the groups")
    selection.add_filters(listing)
    _common(listing)
    listing.set_defaults(handler=list_entries)
    showing = commands.add_parser("show", help="one entry, or a run: parameters, sources, picture")
    showing.add_argument(
        "name", metavar="GROUP/NAME|RUN", help="e.g. surrogate/atan, or a folder with a record"
    )
    showing.add_argument("--plot", type=Path, metavar="FILE.png", help="draw a surrogate, a neuron or a run")
    showing.add_argument("--samples", type=int, default=1, help="of a run that are replayed, default: 1")
    showing.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own to draw"
    )
    _common(showing)
    showing.set_defaults(handler=show_entry)
    _register_compare(commands)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--config-dir", type=Path, action="append", default=[], help="entries of your own")


def list_entries(args: argparse.Namespace) -> int:
    """Print groups with their entries, or the entries of one group that pass the filters."""
    if args.group is None:
        return _list_groups(args)
    known = catalogue.entries(args.group, args.config_dir)
    found = selection.select(args.group, known, args)
    if args.json:
        return _write_json([as_dict(entry) for entry in found.values()])
    if found:
        _write(_columns([_row(name, entry) for name, entry in found.items()]))
    else:
        _write(f"no {args.group} passes {' '.join(selection.chosen_words(args))}\n")
    counts = {} if args.library else selection.preset_counts(args.group, known, args)
    if counts:
        _write(f"\n{_preset_line(args.group, counts)}\n")
    return 0


def _list_groups(args: argparse.Namespace) -> int:
    words = selection.chosen_words(args)
    if words:
        raise InputError(f"list {' '.join(words)}: a group is needed, e.g. sgbench list surrogate {words[0]}")
    groups = {group: catalogue.entries(group, args.config_dir) for group in catalogue.groups()}
    if args.json:
        return _write_json({group: list(known) for group, known in groups.items()})
    rows = []
    for group, known in groups.items():
        names = [name for name, entry in known.items() if not selection.is_preset(entry)]
        folded = len(known) - len(names)
        more = f"; {folded} presets of libraries: sgbench list {group}" if folded else ""
        rows.append((group, ", ".join(names) + more))
    return _write(_columns(rows))


def _preset_line(group: str, counts: dict[str, int]) -> str:
    libraries = ", ".join(f"{library} {count}" for library, count in sorted(counts.items()))
    total = sum(counts.values())
    presets = "preset" if total == 1 else "presets"
    of = f"of {len(counts)} libraries" if len(counts) > 1 else "of one library"
    example = "snntorch" if "snntorch" in counts else min(counts)
    return f"{total} {presets} {of} ({libraries}); to list them: sgbench list {group} --library {example}"


def _row(name: str, entry: catalogue.Entry) -> tuple[str, ...]:
    if not selection.is_preset(entry):
        return name, entry.line
    marks = [f"[{mark}]" for key, mark in (("bug", "known bug"), ("legacy", "legacy")) if entry.meta.get(key)]
    ours = f"{selection.canonical_name(entry)}: {_words(entry.meta.get('conversion') or entry.line)}"
    return name, _words(entry.meta.get("calls")), " ".join([ours, *marks])


def show_entry(args: argparse.Namespace) -> int:
    """Print one entry and draw it if asked to."""
    group, _, name = args.name.partition("/")
    if (Path(args.name) / RECORD).is_file() and not _is_entry(group, name, args.config_dir):
        return _show_run(args)
    if not name:
        raise InputError(f"'{args.name}': GROUP/NAME is needed, e.g. surrogate/atan; see: sgbench list")
    entry = catalogue.entry(group, name, args.config_dir)
    if args.json:
        _write_json(as_dict(entry))
    else:
        _write(_text(entry, args.config_dir))
    if args.plot is not None:
        _plot(entry, args)
        if not args.json:
            _write(f"picture: {args.plot}\n")
    return 0


def _is_entry(group: str, name: str, config_dirs: Sequence[Path]) -> bool:
    """Tell whether the catalogue has such an entry, which goes before a folder of the same name."""
    return group in catalogue.groups() and name in catalogue.entries(group, config_dirs)


def _show_run(args: argparse.Namespace) -> int:
    """Print what came of a run and draw it if asked to."""
    from sgbench.records.files import read_model
    from sgbench.records.record import RunRecord
    from sgbench.sweeps.outcome import headline

    folder = Path(args.name)
    record = read_model(folder / RECORD, RunRecord)
    if args.json:
        _write_json(record.model_dump(mode="json"))
    else:
        _write(f"{headline(record)}\n")
    if args.plot is not None:
        from sgbench.inspection.run_picture import draw_run

        options = {"config_dirs": args.config_dir, "allow_targets": args.allow_target}
        draw_run(folder, args.plot, samples=args.samples, **options)
        if not args.json:
            _write(f"picture: {args.plot}\n")
    return 0


def _plot(entry: catalogue.Entry, args: argparse.Namespace) -> None:
    path = args.plot
    if entry.group not in PLOTTED:
        raise InputError(f"{entry.group}/{entry.name}: no picture; there are some of {' and '.join(PLOTTED)}")
    from sgbench.plots.style import check_picture_path

    check_picture_path(path)
    from sgbench.inspection.portrait import draw

    draw(entry, path, config_dirs=args.config_dir, allow_targets=args.allow_target)


def as_dict(entry: catalogue.Entry) -> dict[str, Any]:
    """An entry with stable keys."""
    return {
        "group": entry.group,
        "name": entry.name,
        "target": entry.target,
        "parameters": entry.parameters,
        "meta": entry.meta,
    }


def _text(entry: catalogue.Entry, config_dirs: Sequence[Path] = ()) -> str:
    lines = [f"{entry.group}/{entry.name}", entry.line, ""]
    rows = [("class", entry.target)] if entry.target else []
    rows += _preset_rows(entry) if selection.is_preset(entry) else []
    hidden = ("line", "sources", *(PRESET_KEYS if selection.is_preset(entry) else ()))
    rows += [(key, _short(value)) for key, value in entry.meta.items() if key not in hidden and value != []]
    rows += [("library", name) for name in _presets_of(entry, config_dirs)]
    rows += [("source", str(source)) for source in entry.meta.get("sources") or []]
    lines.append(_columns([(str(key), str(value)) for key, value in rows]))
    if entry.parameters:
        lines.append("parameters and their defaults")
        lines.append(_columns([(f"  {key}", _short(value)) for key, value in entry.parameters.items()]))
    return "\n".join(lines)


def _preset_rows(entry: catalogue.Entry) -> list[tuple[str, str]]:
    meta = entry.meta
    rows = [
        ("library", f"{meta['library']} {meta.get('version', '')}".strip()),
        ("its call", meta.get("calls")),
        ("canonical", f"{entry.group}/{selection.canonical_name(entry)}"),
        ("conversion", meta.get("conversion")),
        ("known bug", meta.get("bug")),
        ("legacy", "yes, kept for older code" if meta.get("legacy") else None),
    ]
    return [(name, _words(text)) for name, text in rows if text]


def _words(text: Any) -> str:
    return " ".join(str(text or "").split())


def _presets_of(entry: catalogue.Entry, config_dirs: Sequence[Path]) -> list[str]:
    """How libraries call a canonical entry."""
    if selection.is_preset(entry):
        return []
    known = catalogue.entries(entry.group, config_dirs).values()
    found = [other for other in known if selection.is_preset(other)]
    return [
        f"{other.meta['library']} {_words(other.meta.get('calls'))} is {other.group}={other.name}"
        for other in found
        if selection.canonical_name(other) == entry.name
    ]


def _short(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return ", ".join(_short(item) if not isinstance(item, dict) else json.dumps(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={_short(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows with all columns but the last padded."""
    widths = [max(map(len, column)) for column in itertools.zip_longest(*rows, fillvalue="")]
    padded = (
        [f"{cell:<{width}}" for cell, width in zip(row[:-1], widths, strict=False)] + [row[-1]]
        for row in rows
    )
    return "".join("  ".join(cells).rstrip() + "\n" for cells in padded)


def _write(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _write_json(tree: Any) -> int:
    return _write(json.dumps(tree, indent=1, sort_keys=True) + "\n")


# --- compare


def _register_compare(commands: Any) -> None:
    comparing = commands.add_parser("compare", help="surrogates side by side: numbers and one picture")
    comparing.add_argument("names", nargs="+", metavar="GROUP/NAME", help="2 to 12, e.g. surrogate/atan")
    comparing.add_argument(
        "--width", default="1.0", metavar="W", help="at which shapes are compared [threshold units]"
    )
    comparing.add_argument("--plot", type=Path, metavar="FILE.png", help="draw them")
    comparing.add_argument("--json", action="store_true", help="as JSON")
    comparing.add_argument("--config-dir", type=Path, action="append", default=[], help="entries of your own")
    comparing.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own to compare"
    )
    comparing.set_defaults(handler=compare_entries)


def compare_entries(args: argparse.Namespace) -> int:
    """Print the table and draw the picture if asked to."""
    names = _checked_names(args)
    width = _checked_width(args.width)
    if args.plot is not None:
        from sgbench.plots.style import check_picture_path

        check_picture_path(args.plot)
    from sgbench.inspection.surrogate_comparison import comparison
    from sgbench.training.creation import create

    made = {
        name: create(f"{SURROGATE}/{name}", config_dirs=args.config_dir, allow_targets=args.allow_target)
        for name in names
    }
    rows = comparison(made, width)
    if args.json:
        sys.stdout.write(json.dumps({"width": width, "entries": rows}, indent=1, sort_keys=True) + "\n")
    else:
        sys.stdout.write(_table(rows, width))
    if args.plot is not None:
        _draw_compared(made, width, args.plot)
        if not args.json:
            sys.stdout.write(f"\npicture: {args.plot}\n")
    return 0


def _checked_names(args: argparse.Namespace) -> list[str]:
    """The names without their group, each of them an entry."""
    names = []
    for word in args.names:
        group, _, name = word.partition("/")
        if not name:
            raise InputError(
                f"'{word}': GROUP/NAME is needed, e.g. surrogate/{word}; see: sgbench list surrogate"
            )
        if group != SURROGATE:
            if not any((Path(folder) / group).is_dir() for folder in args.config_dir):
                catalogue.entries(group, args.config_dir)
            raise InputError(f"'{word}': only surrogates can be compared so far, e.g. surrogate/atan")
        catalogue.entry(group, name, args.config_dir)
        if name in names:
            raise InputError(f"'{word}' is there twice; name each entry once")
        names.append(name)
    if not FEWEST <= len(names) <= MOST:
        raise InputError(f"compare: {FEWEST} to {MOST} entries are needed (given: {len(names)})")
    return names


def _checked_width(word: str) -> float:
    try:
        value: object = float(word)
    except ValueError:
        value = word
    return require_number("--width", value, low=1e-6, high=1e6)


def _draw_compared(made: Mapping[str, Surrogate], width: float, path: Path) -> None:
    from sgbench.inspection.surrogate_comparison import comparison_picture
    from sgbench.plots import style
    from sgbench.plots.comparison import comparison_figure

    picture = comparison_picture(made, width)
    style.save(lambda: comparison_figure(picture), path)


def _table(rows: list[dict[str, Any]], width: float) -> str:
    """The rows for people."""
    from sgbench.inspection.surrogate_facts import interval, number, some

    head = [*COMPARED, f"area at width {number(width)}"]
    cells = [
        [
            row["name"],
            *(number(_float(row[key])) for key in ("peak", "area", "width", "width_10")),
            interval((float(row["support"][0]), float(row["support"][1]))),
            some(row["kinks"]),
            "yes" if row["primitive"] else "no",
            "-" if row["matched"] is None else number(_float(row["matched"]["area"])),
        ]
        for row in rows
    ]
    text = aligned([head, *cells], words=len(head))
    return "\n".join(text) + "\n\nwidths and supports in threshold units; the last column at peak 1\n"


def _float(value: float | str | None) -> float | None:
    return None if value is None else float(value)
