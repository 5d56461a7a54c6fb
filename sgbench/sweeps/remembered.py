"""Overrides of a sweep with a `group`, stored so that the sweep is found again by that name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sgbench.errors import InputError, StorageError, suggest
from sgbench.records.base import Strict
from sgbench.records.files import read_model, to_json, write_atomic

FOLDER = ".sweeps"  # in the folder of runs; hidden, so that it is no protocol
NAME = re.compile(r"[\w.-]{1,100}")
Words = Annotated[tuple[str, ...], Field(max_length=10_000)]


class Remembered(Strict):
    """Holds the overrides and options that a sweep was run with."""

    words: Words
    config_dirs: Words
    allow_targets: Words


def remember(runs_dir: Path, group: str, sweep: Remembered) -> None:
    """Store the overrides that a group was last run with; do nothing where the folder cannot be written.

    Args:
        runs_dir: where its runs are written.
        group: its name; one that cannot name a file is not stored.
        sweep: its overrides and options.
    """
    if NAME.fullmatch(group) and not group.startswith("."):
        try:
            (runs_dir / FOLDER).mkdir(parents=True, exist_ok=True)
            write_atomic(runs_dir / FOLDER / f"{group}.json", to_json(sweep))
        except (OSError, StorageError):
            return


def recall(runs_dir: Path, group: str) -> Remembered:
    """Read the overrides that a group was last run with.

    Raises:
        InputError: no sweep of that name was run there.
    """
    path = runs_dir / FOLDER / f"{group}.json"
    if not NAME.fullmatch(group) or not path.is_file():
        known = [path.stem for path in (runs_dir / FOLDER).glob("*.json")]
        near = suggest(group, known) if known else "give a sweep a name with group=NAME when it is run"
        raise InputError(f"group={group}: no sweep of that name was run in {runs_dir}; {near}")
    return read_model(path, Remembered)


def of_words(
    overrides: Sequence[str], config_dirs: Sequence[Path], allow_targets: Sequence[str]
) -> Remembered:
    """Build the stored form of a sweep from its overrides, without the flag -m."""
    return Remembered(
        words=tuple(text for text in overrides if not text.startswith("-")),
        config_dirs=tuple(str(folder.resolve()) for folder in config_dirs),
        allow_targets=tuple(allow_targets),
    )
