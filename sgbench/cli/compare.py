"""`sgbench compare`: surrogates side by side, as the catalogue has them and at one width."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, check_picture, screen, shared_options
from sgbench.errors import InputError, require_number
from sgbench.tables import aligned, number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.surrogates.base import Surrogate

FEWEST, MOST = 2, 12
GROUP = "surrogate"
COLUMNS = ("name", "peak", "area", "width", "10 % width", "support", "kinks", "primitive")


def register(commands: Any) -> None:
    comparing = commands.add_parser(
        "compare", help="surrogates side by side: numbers and one picture", parents=shared_options(picture="draw them")
    )
    comparing.add_argument("names", nargs="+", metavar="GROUP/NAME", help="2 to 12, e.g. surrogate/atan")
    comparing.add_argument("--width", default="1.0", metavar="W", help="at which shapes are compared [threshold units]")
    comparing.set_defaults(handler=compare)


def compare(args: argparse.Namespace) -> int:
    """Print the table of surrogates side by side, and draw their picture with --plot."""
    names = _checked_names(args)
    width = _checked_width(args.width)
    check_picture(args)
    from sgbench.plots.entries.surrogate import comparison
    from sgbench.training.creation import create

    surrogates = {
        name: create(f"{GROUP}/{name}", config_dirs=args.config_dir, allow_targets=args.allow_target) for name in names
    }
    rows = comparison(surrogates, width)
    tree = {"width": width, "entries": rows}
    return answer(args, tree, comparison_text(rows, width, screen(args)), lambda: _figure(surrogates, width))


def _checked_names(args: argparse.Namespace) -> list[str]:
    """Return the names of the surrogates to compare; InputError for unknown, repeated, too few or too many."""
    from sgbench.composition import catalogue

    names = []
    for argument in args.names:
        group, _, name = argument.partition("/")
        if not name:
            raise InputError(
                f"'{argument}': GROUP/NAME is needed, e.g. surrogate/{argument}; see: sgbench list surrogate"
            )
        if group != GROUP:
            if not any((Path(folder) / group).is_dir() for folder in args.config_dir):
                catalogue.entries(group, args.config_dir)
            raise InputError(f"'{argument}': only surrogates can be compared so far, e.g. surrogate/atan")
        catalogue.entry(group, name, args.config_dir)
        if name in names:
            raise InputError(f"'{argument}' is there twice; name each entry once")
        names.append(name)
    if not FEWEST <= len(names) <= MOST:
        raise InputError(f"compare: {FEWEST} to {MOST} entries are needed (given: {len(names)})")
    return names


def _checked_width(text: str) -> float:
    """Convert --width to a number [threshold units]; an InputError if it is none, or out of 1e-6..1e6."""
    try:
        value: object = float(text)
    except ValueError:
        value = text
    return require_number("--width", value, low=1e-6, high=1e6)


def _figure(surrogates: Mapping[str, Surrogate], width: float) -> Figure:
    """Draw surrogates, mapped by name, as they are and at one width [threshold units]."""
    from sgbench.plots.entries.surrogate import comparison_figure, comparison_picture

    return comparison_figure(comparison_picture(surrogates, width))


def comparison_text(rows: list[dict[str, Any]], width: float, columns: int | None = None) -> str:
    """Write the facts about surrogates as a table; `rows` are those of `comparison`.

    The last column is the area of each when it is scaled to peak 1 and to `width` [threshold units]; "-" if it cannot
    be. `columns` is the width of the terminal in characters.
    """
    from sgbench.plots.entries.surrogate_curves import interval, listed_or_none

    head = [*COLUMNS, f"area at width {number_text(width)}"]
    cells = [
        [
            row["name"],
            *(number_text(_float_or_none(row[key])) for key in ("peak", "area", "width", "width_10")),
            interval((float(row["support"][0]), float(row["support"][1]))),
            listed_or_none(row["kinks"]),
            "yes" if row["primitive"] else "no",
            "-" if row["matched"] is None else number_text(_float_or_none(row["matched"]["area"])),
        ]
        for row in rows
    ]
    text = aligned([head, *cells], text_columns=len(head), width=columns)
    return "\n".join(text) + "\n\nwidths and supports in threshold units; the last column at peak 1"


def _float_or_none(value: float | str | None) -> float | None:
    return None if value is None else float(value)
