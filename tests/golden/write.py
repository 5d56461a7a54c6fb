"""`make golden` and `make entry`: write the golden files of this folder, all anew or those of new entries alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sgbench.errors import InputError, SgbenchError, one_printable_line
from tests.golden import cases, screens
from tests.leaderboard import gallery

METHOD_IDS = "method_ids.json"
EXPERIMENTS = "experiments.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files; returns the exit code."""
    words = argparse.ArgumentParser(prog="python -m tests.golden.write", description=__doc__)
    words.add_argument("--new", action="store_true", help="what new entries add; nothing that is there may move")
    args = words.parse_args(argv)
    try:
        if args.new:
            write_new(cases.FOLDER)
        else:
            write_all(cases.FOLDER)
    except SgbenchError as error:
        sys.stderr.write(f"golden: error: {one_printable_line(error)}\n")
        return error.exit_code
    return 0


def write_all(folder: Path) -> None:
    """Write every file anew."""
    with tempfile.TemporaryDirectory() as runs:
        os.environ["SGBENCH_RUNS"] = runs
        for name in cases.EXAMPLES:
            _write(folder / f"experiment_{name}.json", cases.composed(name))
        _write(folder / EXPERIMENTS, cases.digests())
        _write(folder / METHOD_IDS, cases.method_ids())
        for rule in cases.RULES:
            _write(folder / f"record_{rule}.json", cases.tiny_record(rule))
    gallery.write()
    screens.write()


def write_new(folder: Path) -> None:
    """Add the ids of new entries and new experiments.

    Raises:
        InputError: an id that is there already would change or vanish.
    """
    known, current = json.loads((folder / METHOD_IDS).read_text()), cases.method_ids()
    refuse_moved(known, current)
    added = sorted(current.keys() - known.keys())
    if added:
        _write(folder / METHOD_IDS, current)
    digests = json.loads((folder / EXPERIMENTS).read_text())
    experiments = [name for name in cases.experiments() if name not in digests]
    if experiments:
        _write(folder / EXPERIMENTS, digests | {name: cases.digest(cases.composed(name)) for name in experiments})
    new = [*added, *(f"experiment={name}" for name in experiments)]
    sys.stdout.write(f"golden ids of {', '.join(new) or 'nothing new'}\n")


def refuse_moved(known: Mapping[str, str], current: Mapping[str, str]) -> None:
    """Compare the ids that are there with those of today.

    Raises:
        InputError: names the first that differs.
    """
    moved = [words for words in known if current.get(words) != known[words]]
    if moved:
        words = moved[0]
        raise InputError(
            f"{words}: its method id was {known[words]} and is {current.get(words, 'gone')}; a new entry moves no "
            f"other ({len(moved)} moved), so undo what changed it"
        )


def _write(path: Path, tree: Any) -> None:
    path.write_text(json.dumps(tree, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
