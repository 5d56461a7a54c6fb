"""`sgbench list` and `sgbench show`: the catalogue, read without importing what it names."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from sgbench import catalogue
from sgbench.errors import InputError, suggest

PLOTTED = ("surrogate", "neuron")


def register(commands: Any) -> None:
    """Add both subcommands."""
    listing = commands.add_parser("list", help="groups, or the entries of a group")
    listing.add_argument("group", nargs="?", help="e.g. surrogate; none lists the groups")
    _common(listing)
    listing.set_defaults(handler=list_entries)
    showing = commands.add_parser("show", help="one entry: parameters, formula, sources, picture")
    showing.add_argument("name", metavar="GROUP/NAME", help="e.g. surrogate/atan")
    showing.add_argument("--plot", type=Path, metavar="FILE.png", help="draw a surrogate or a neuron")
    showing.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own to draw"
    )
    _common(showing)
    showing.set_defaults(handler=show_entry)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="as JSON")
    command.add_argument("--config-dir", type=Path, action="append", default=[], help="entries of your own")


def list_entries(args: argparse.Namespace) -> int:
    """Print groups with their sizes, or entries with their lines."""
    if args.group is None:
        rows = {group: list(catalogue.entries(group, args.config_dir)) for group in catalogue.groups()}
        if args.json:
            return _write_json(rows)
        return _write(_columns([(group, ", ".join(names)) for group, names in rows.items()]))
    found = catalogue.entries(args.group, args.config_dir)
    if args.json:
        return _write_json([as_dict(entry) for entry in found.values()])
    return _write(_columns([(name, entry.line) for name, entry in found.items()]))


def show_entry(args: argparse.Namespace) -> int:
    """Print one entry and draw it if asked to."""
    group, _, name = args.name.partition("/")
    if not name:
        raise InputError(f"'{args.name}': GROUP/NAME is needed, e.g. surrogate/atan; see: sgbench list")
    entry = catalogue.entry(group, name, args.config_dir)
    if args.json:
        _write_json(as_dict(entry))
    else:
        _write(_text(entry))
    if args.plot is not None:
        _plot(entry, args)
        if not args.json:
            _write(f"picture: {args.plot}\n")
    return 0


def _plot(entry: catalogue.Entry, args: argparse.Namespace) -> None:
    path = args.plot
    if entry.group not in PLOTTED:
        raise InputError(f"{entry.group}/{entry.name}: no picture; there are some of {' and '.join(PLOTTED)}")
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"--plot {path}: {suggest(path.suffix, ['.png', '.svg', '.pdf'])}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--plot {path}: folder {path.parent} does not exist")
    from sgbench.cli.portrait import draw

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


def _text(entry: catalogue.Entry) -> str:
    lines = [f"{entry.group}/{entry.name}", entry.line, ""]
    rows = [("class", entry.target)] if entry.target else []
    rows += [(key, _short(value)) for key, value in entry.meta.items() if key not in ("line", "sources")]
    rows += [("source", str(source)) for source in entry.meta.get("sources", [])]
    lines.append(_columns([(str(key), str(value)) for key, value in rows]))
    if entry.parameters:
        lines.append("parameters and their defaults")
        lines.append(_columns([(f"  {key}", _short(value)) for key, value in entry.parameters.items()]))
    return "\n".join(lines)


def _short(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return ", ".join(_short(item) if not isinstance(item, dict) else json.dumps(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={_short(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns(rows: list[tuple[str, str]]) -> str:
    width = max((len(name) for name, _ in rows), default=0)
    return "".join(f"{name:<{width}}  {text}".rstrip() + "\n" for name, text in rows)


def _write(text: str) -> int:
    sys.stdout.write(text)
    return 0


def _write_json(tree: Any) -> int:
    return _write(json.dumps(tree, indent=1, sort_keys=True) + "\n")
