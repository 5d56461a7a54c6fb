"""Stores the overrides of a sweep that was run with `group=NAME`, so that it is found again by that name."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from sgbench.composition.overrides import Overrides
from sgbench.errors import InputError, StorageError, suggest
from sgbench.records.base import Strict
from sgbench.records.files import read_model, to_json, write_atomic

FOLDER = ".sweeps"  # in the folder of runs; hidden, since other folders there are protocols
NAME = re.compile(r"[\w.-]{1,100}")
Words = Annotated[tuple[str, ...], Field(max_length=10_000)]


class Remembered(Strict):
    """Holds the Hydra overrides (`words`) and the options that a sweep was run with."""

    words: Words
    config_dirs: Words
    allow_targets: Words


def remember(runs_dir: Path, group: str, sweep: Remembered) -> None:
    """Store the overrides and options that a group was last run with; do nothing if the folder cannot be written."""
    if NAME.fullmatch(group) and not group.startswith("."):
        try:
            (runs_dir / FOLDER).mkdir(parents=True, exist_ok=True)
            write_atomic(runs_dir / FOLDER / f"{group}.json", to_json(sweep))
        except (OSError, StorageError):
            return


def recall(runs_dir: Path, group: str) -> Remembered:
    path = runs_dir / FOLDER / f"{group}.json"
    if not NAME.fullmatch(group) or not path.is_file():
        known = [path.stem for path in (runs_dir / FOLDER).glob("*.json")]
        near = suggest(group, known) if known else "give a sweep a name with group=NAME when it is run"
        raise InputError(f"group={group}: no sweep of that name was run in {runs_dir}; {near}")
    return read_model(path, Remembered)


def to_remember(overrides: Overrides, config_dirs: Sequence[Path], allow_targets: Sequence[str]) -> Remembered:
    """Build the stored form of a sweep from its overrides and options."""
    return Remembered(
        words=tuple(overrides.texts),
        config_dirs=tuple(str(folder.resolve()) for folder in config_dirs),
        allow_targets=tuple(allow_targets),
    )
