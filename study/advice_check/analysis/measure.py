"""What `python -m study measure advice_check` runs: what `sgbench recommend` says of each network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sgbench.recommendation.recommend import recommend
from sgbench.records.base import Strict, Text
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import StudyFolders

FILE = "printed.json"
"""Beside the study's records."""


class PrintedAdvice(Strict):
    """Holds the tries for each network, as words of a run, and where it lies outside of what was run."""

    tries: dict[Text, tuple[Text, ...]]
    outside: dict[Text, tuple[Text, ...]]


def read_printed(folder: Path) -> PrintedAdvice | None:
    """Read what was printed from a store's folder; None where nothing was."""
    path = folder / FILE
    return read_model(path, PrintedAdvice) if path.is_file() else None


def measure_study(loaded: Loaded, place: StudyFolders, *, gradients: bool) -> Iterator[str]:
    """Ask for the advice on every network of the study and store it; yield a line for each."""
    del gradients
    found = {name: recommend(*task.words) for name, task in loaded.study.tasks.items()}
    printed = PrintedAdvice(
        tries={name: one.to_try[:2] for name, one in found.items()},
        outside={name: one.outside for name, one in found.items()},
    )
    write_atomic(place.store.folder / FILE, to_json(printed))
    for name, one in found.items():
        yield f"{name}: {'; '.join(one.outside) or 'within what was run'}"
