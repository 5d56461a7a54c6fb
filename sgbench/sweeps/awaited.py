"""Points of a sweep that another process runs: they are waited for, and run here where it gave up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from sgbench.errors import RunBusyError, SgbenchError
from sgbench.paths import RECORD
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.training.run_folder import finished_record, folder_of, is_held
from sgbench.training.runner import run_spec

POLL_S = 1.0  # between two looks at a folder


def left_to_others(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """List points without a finished record that another process has, or had and left without any record.

    Points that are repeated are not among them: whether the new record is ours or another's would be unknown.
    """
    return [spec for spec in specs if not spec.force and finished_record(spec) is None and _is_others(spec)]


def _is_others(spec: RunSpec) -> bool:
    folder = folder_of(spec)
    return folder.is_dir() and (is_held(folder) or not (folder / RECORD).exists())


def wait_for_others(
    specs: Sequence[RunSpec], say: Callable[[str], None], pause: Callable[[float], None] = time.sleep
) -> Iterator[RunRecord | SgbenchError]:
    """Wait for points that other processes run, and run what they leave unfinished.

    Yields:
        What came of each: its record, or why there is none.
    """
    held = [folder for spec in specs if is_held(folder := folder_of(spec))]
    if held:
        points = "1 point" if len(held) == 1 else f"{len(held)} points"
        say(
            f"waiting for {points} that another process runs, e.g. {held[0]}; Ctrl-C stops waiting, not those runs"
        )
    for spec in specs:
        yield _outcome(spec, pause)


def _outcome(spec: RunSpec, pause: Callable[[float], None]) -> RunRecord | SgbenchError:
    while True:
        try:
            return run_spec(spec)  # what the other process has finished is read
        except RunBusyError:
            pause(POLL_S)
        except SgbenchError as error:
            return error
