"""What commands share: options that many of them have, and how an answer is printed and drawn."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.errors import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def shared(
    *, entries: bool = True, classes: bool = True, machine: bool = True, picture: str = ""
) -> list[argparse.ArgumentParser]:
    """Return the parents of a command's parser, which hold the options that it shares with others.

    Args:
        entries: whether it reads the catalogue, to which folders of one's own may be added.
        classes: whether it makes objects of entries, also of one's own classes.
        machine: whether its answer can be had as JSON.
        picture: what it can draw, for its help.
    """
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
    if picture:
        common.add_argument("--plot", type=Path, metavar="FILE.png", help=picture)
    return [parent]


def check_picture(args: argparse.Namespace) -> None:
    """Refuse a picture that could not be written, before anything is computed for it."""
    if args.plot is not None:
        from sgbench.plots.style import check_picture_path

        check_picture_path(args.plot)


def answer(
    args: argparse.Namespace,
    tree: object,
    text: str | Sequence[str],
    figure: Callable[[], Figure] | None = None,
) -> int:
    """Print what a command found, as JSON or in words; draw its picture where one is asked for; return 0.

    Args:
        args: of the command.
        tree: the answer in plain values.
        text: the same for people, in lines.
        figure: makes the picture.
    """
    if args.json:
        say_json(tree)
    else:
        say(text)
    if figure is not None and args.plot is not None:
        from sgbench.plots import style

        style.save(figure, args.plot)
        tell_picture(args)
    return 0


def tell_picture(args: argparse.Namespace) -> None:
    """Name the picture that was drawn, unless the answer is JSON."""
    if args.plot is not None and not args.json:
        say(f"picture: {args.plot}")


def say(text: str | Sequence[str]) -> None:
    """Print lines at once, without what a terminal would obey: names in them may be somebody else's."""
    lines = text.split("\n") if isinstance(text, str) else text
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def say_json(tree: object) -> None:
    """Print one JSON value on standard output."""
    sys.stdout.write(json.dumps(tree, indent=1, sort_keys=True) + "\n")
