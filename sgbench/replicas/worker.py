"""One process of a sweep: a group of replicas, or a single point that shares nothing."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection

from sgbench.engine import fused
from sgbench.errors import SgbenchError, one_printable_line
from sgbench.records.spec import RunSpec
from sgbench.replicas.group_worker import GroupWorker
from sgbench.replicas.messages import PruningThresholds, Say, Stopped, WorkerMessage
from sgbench.training import late_modules
from sgbench.training.build import DTYPES

STOPPED = 130


class _Asked:
    """Says whether to stop: a signal asked for it, or nobody listens any more."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.stop = False

    def on_signal(self, *_: object) -> None:
        """Note the SIGTERM that the sweep sends."""
        self.stop = True

    def say(self, message: WorkerMessage) -> None:
        """Send a message to the sweep."""
        try:
            self.pipe.send(message)
        except OSError:  # it has been killed
            self.stop = True


def prepare(specs: Sequence[RunSpec]) -> None:
    """Load the modules that workers have in common, before they are forked."""
    kinds = {
        spec.method.protocol.precision for spec in specs if spec.engine in ("auto", "fused", "generated")
    }
    if fused.missing() is None:
        from sgbench.engine.warm_up import compiled

        for kind in kinds:
            compiled(DTYPES[kind])


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
    """Run a group of points and end the process; the exit status is 130 if it was stopped."""
    for connection in inherited:
        connection.close()
    gc.freeze()  # what all workers were forked with is looked through no more
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the sweep passes it on
    asked = _Asked(pipe)
    signal.signal(signal.SIGTERM, signal.default_int_handler if alone else asked.on_signal)
    try:
        if alone:
            late_modules.install()  # this process began anew
            run_alone(points, asked.say)
            return
        GroupWorker(
            points,
            asked.say,
            lambda: asked.stop,
            largest=largest,
            memory_bytes=memory_bytes,
            thresholds=thresholds,
        ).run()
    except (Stopped, KeyboardInterrupt):
        os._exit(STOPPED)


def run_alone(points: Sequence[tuple[int, RunSpec]], say: Say) -> None:
    """Run points that share nothing, one after the other.

    Raises:
        KeyboardInterrupt: somebody asked to stop; the checkpoint of the last whole epoch is in place.
    """
    from sgbench.training.runner import run_spec

    for point, spec in points:
        say(WorkerMessage(point, "began"))
        try:
            quiet = spec.model_copy(update={"trainer": spec.trainer.model_copy(update={"progress": False})})
            say(WorkerMessage(point, "ended", record=run_spec(quiet)))
        except SgbenchError as error:
            say(WorkerMessage(point, "refused", line=one_printable_line(error), exit_code=error.exit_code))
