"""One process of a sweep, which runs a group of replicas, or points one by one."""

import gc
import os
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

from fastspiking import fused
from sgbench.errors import SgbenchError, one_printable_line
from sgbench.records.spec import RunSpec
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.messages import PruningThresholds, Say, Stopped, WorkerMessage

STOPPED = 130


class _Parent:
    """Sends messages to the sweep's process, and holds whether to stop: on its SIGTERM, or after its end."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe, self.wants_stop = pipe, False

    def on_signal(self, *_: object) -> None:
        self.wants_stop = True

    def say(self, message: WorkerMessage) -> None:
        try:
            self.pipe.send(message)
        except OSError:  # its process has been killed
            self.wants_stop = True


def prepare(specs: Sequence[RunSpec]) -> None:
    """Import the loops of these points before their workers are forked, and say it if these have to compile them."""
    engines = {spec.engine for spec in specs}
    if engines & {"auto", "fused", "generated"} and fused.import_problem() is None:
        from fastspiking.kernels.disk_cache import is_empty, note

        if is_empty():
            note.say()


def work(
    points: Sequence[tuple[int, RunSpec]],
    pipe: Connection,
    *,
    alone: bool,
    largest: int | None,
    memory_bytes: int | None,
    thresholds: Mapping[int, PruningThresholds],
    inherited: Sequence[Connection] = (),
) -> None:
    """Run a group of points in a worker's process, which exits with status 130 if it is stopped.

    `points`: (index in the sweep, spec) of each. `pipe`: to the sweep's process, for messages. `alone`: whether the
    points run one by one, not as replicas. `largest`: most replicas at a time; None: as many as fit. `memory_bytes`:
    memory of this process; None: not known. `thresholds`: maps points that may be stopped early to their pruning
    thresholds. `inherited`: connections of the sweep's process that a fork has copied, to be closed.
    """
    for connection in inherited:
        connection.close()
    gc.freeze()  # objects of the sweep's process are left out of garbage collections
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the sweep sends SIGTERM
    parent = _Parent(pipe)
    signal.signal(signal.SIGTERM, signal.default_int_handler if alone else parent.on_signal)
    try:
        if alone:
            run_alone(points, parent.say)
            return
        GroupWorker(
            points,
            parent.say,
            lambda: parent.wants_stop,
            largest=largest,
            memory_bytes=memory_bytes,
            thresholds=thresholds,
        ).run()
    except (Stopped, KeyboardInterrupt):
        os._exit(STOPPED)


def run_alone(points: Sequence[tuple[int, RunSpec]], say: Say) -> None:
    """Run points one after another, not as replicas, and send their messages by `say`."""
    from sgbench.training.runner import run_spec

    for point, spec in points:
        say(WorkerMessage(point, "began"))
        try:
            quiet = spec.model_copy(update={"trainer": spec.trainer.model_copy(update={"progress": False})})
            say(WorkerMessage(point, "ended", record=run_spec(quiet)))
        except SgbenchError as error:
            say(WorkerMessage(point, "refused", line=one_printable_line(error), exit_code=error.exit_code))
