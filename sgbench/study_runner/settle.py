"""Choose the best cell of each task of a block on validation, and store it for later blocks."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from sgbench.errors import InputError
from sgbench.leaderboard.score import measure_of
from sgbench.records.files import first_problem, parse_tree, read_bytes, write_atomic
from sgbench.records.record import RunRecord
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import Settle
from sgbench.study_runner.store import StoreEntry

SETTLED = "settled.json"  # file in a study's store that maps block and task to the best cells
CELLS = TypeAdapter(dict[str, dict[str, Annotated[list[Cell], Field(min_length=1)]]])


def settle(entries: Iterable[StoreEntry], rule: Settle) -> dict[str, list[Cell]]:
    """Choose the best cells of each task by mean validation accuracy over seeds; failed runs count as guessing.

    Of equal means the cell with the lower mean validation loss wins, then the first in the order of its text.
    `entries`: all runs of the block. Returns the best cells by task, without the keys of `rule.over`, in the order of
    their values of the keys `rule.by`.
    """
    scores: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    cells: dict[tuple[str, str, str], Cell] = {}
    for entry in entries:
        cell = {key: value for key, value in entry.cell.items() if key not in rule.over}
        group = {key: cell.get(key) for key in rule.by}
        index = (entry.task, _text(group), _text(cell))
        cells[index] = dict(cell)  # type: ignore[arg-type]
        scores.setdefault(index, []).append(selection(entry.record))
    best: dict[tuple[str, str], tuple[str, str, str]] = {}
    for index in sorted(scores):
        task, group_text, _ = index
        rival = best.get((task, group_text))
        if rival is None or _mean(scores[index]) > _mean(scores[rival]):
            best[task, group_text] = index
    best_by_task: dict[str, list[Cell]] = {}
    for (task, _), index in sorted(best.items()):
        best_by_task.setdefault(task, []).append(cells[index])
    return best_by_task


def selection(record: RunRecord) -> tuple[float, float]:
    """Return validation accuracy and minus validation loss of a run, by which settings are compared.

    A failed run has the accuracy of guessing; without a validation score minus the loss is -inf.
    """
    if record.classes is None:
        raise InputError(f"{record.protocol}: studies compare accuracies, and this task has no classes")
    accuracy = measure_of(record.classes, None).of(record.validation)
    return accuracy, -math.inf if record.validation is None else -record.validation.loss


def _mean(scores: list[tuple[float, float]]) -> tuple[float, float]:
    return fmean(accuracy for accuracy, _ in scores), fmean(minus_loss for _, minus_loss in scores)


def read_settled(folder: Path) -> dict[str, dict[str, list[Cell]]]:
    path = folder / SETTLED
    if not path.exists():
        return {}
    tree = parse_tree(read_bytes(path), str(path))
    try:
        return CELLS.validate_python(tree, strict=True)
    except ValidationError as error:
        raise InputError(
            f"{path}: blocks with the cells of each task are needed ({first_problem(error)}); take it from the "
            f"repository"
        ) from error


def write_settled(folder: Path, block: str, settled: Mapping[str, list[Cell]]) -> Path:
    """Write the best cells of a block, by task, into the file of a study's store, and return its path.

    Cells of other blocks in the file stay.
    """
    tree = {**read_settled(folder), block: dict(settled)}
    path = folder / SETTLED
    write_atomic(path, (json.dumps(tree, indent=1, sort_keys=True) + "\n").encode())
    return path


def _text(cell: Mapping[str, object]) -> str:
    """Write a cell so that equal cells have equal texts."""
    return json.dumps(dict(cell), sort_keys=True)
