"""Waits for points of a sweep that another process runs, and runs those that it abandoned."""

import time
from collections.abc import Callable, Iterator, Sequence

from sgbench.errors import RunBusyError, SgbenchError
from sgbench.paths import RECORD
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.run_folder import finished_record, folder_of, is_held
from sgbench.training.runner import run_spec

POLL_S = 1.0  # between two tries to run a point that another process runs


def busy_points(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """List the points without a finished record that another process runs, or began and left without any record.

    Points with `force=true` are left out, since it would be unknown which process wrote the new record.
    """
    return [spec for spec in specs if not spec.force and finished_record(spec) is None and _is_busy_or_abandoned(spec)]


def _is_busy_or_abandoned(spec: RunSpec) -> bool:
    folder = folder_of(spec)
    return folder.is_dir() and (is_held(folder) or not (folder / RECORD).exists())


def wait_for_others(
    specs: Sequence[RunSpec], say: Callable[[str], None], pause: Callable[[float], None] = time.sleep
) -> Iterator[RunRecord | SgbenchError]:
    """Wait for points that other processes run, and run those that they abandon.

    Yield for each point its record, or the error that kept it from one. `say` prints a line, `pause` sleeps for a
    number of seconds.
    """
    busy = [folder for spec in specs if is_held(folder := folder_of(spec))]
    if busy:
        points = "1 point" if len(busy) == 1 else f"{len(busy)} points"
        say(f"waiting for {points} that another process runs, e.g. {busy[0]}; Ctrl-C stops waiting, not those runs")
    for spec in specs:
        yield _wait_and_run(spec, pause)


def _wait_and_run(spec: RunSpec, pause: Callable[[float], None]) -> RunRecord | SgbenchError:
    """Try to run a point until no other process holds it; return its record, or the error of the run."""
    while True:
        try:
            return run_spec(spec)  # returns the stored record if the other process has finished it
        except RunBusyError:
            pause(POLL_S)
        except SgbenchError as error:
            return error
