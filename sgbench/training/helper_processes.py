"""Helper processes that train on shares of each batch of a run: started, synchronised each epoch, and ended."""

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Iterable, Iterator
from datetime import timedelta
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from sgbench.errors import InputError, NonFiniteError
from sgbench.records.content import EpochScores
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.data_parallel import Together
from sgbench.training.epoch_loop import Training

PATIENCE = timedelta(days=1)
"""Longest wait of one process for another, which may be scoring a split; a process that ends is noticed at once."""


@contextlib.contextmanager
def helper_processes(spec: RunSpec) -> Iterator[Together | None]:
    """Start the helper processes of a run with `trainer.devices` > 1, and end them on exit.

    Yields the `Together` by which this process averages gradients with them; None for a run of one process.
    """
    count = spec.trainer.devices
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"  # a file by which the processes find each other
        pipes = [Pipe(duplex=False) for _ in range(1, count)]  # (reader, writer) for each helper's "ready"
        others = [
            context.Process(target=_run_helper, args=(spec, rank, meeting, writer), daemon=True)
            for rank, (_, writer) in enumerate(pipes, start=1)
        ]
        try:
            for process, (_, writer) in zip(others, pipes, strict=True):
                process.start()
                writer.close()  # so that reading ends where the process does
            await_ready(reader for reader, _ in pipes)
            together = _join_processes(0, count, meeting)
            yield together
            together.send(None)  # the end of training
        except BaseException:
            for process in others:
                if process.pid is not None:
                    process.terminate()
            raise
        finally:
            for process in others:
                if process.pid is not None:
                    process.join()


def await_ready(readers: Iterable[Any]) -> None:
    """Wait until all helper processes have built their parts."""
    for rank, reader in enumerate(readers, start=1):
        try:
            reader.recv_bytes()
        except EOFError:
            raise InputError(
                f"trainer.devices: process {rank} ended before it trained, see the lines above; a script that "
                "starts a run needs `if __name__ == '__main__':` before it, or use trainer.devices=1"
            ) from None
        finally:
            reader.close()


def send_epoch(training: Training, optimizer: torch.optim.Optimizer) -> None:
    """Send the helper processes the number of the epoch that begins, with weights, optimiser state and curve."""
    if training.loop.together is not None:
        training.loop.together.send(
            {
                "epoch": training.epoch,
                "network": training.network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "curve": [line.model_dump() for line in training.curve],
            }
        )


def _join_processes(rank: int, count: int, meeting: Path) -> Together:
    store = dist.FileStore(str(meeting), count)  # type: ignore[attr-defined]
    return Together(rank, count, dist.ProcessGroupGloo(store, rank, count, PATIENCE))


def _run_helper(spec: RunSpec, rank: int, meeting: Path, ready: Connection) -> None:
    """Train as helper process `rank` on its share of each batch, epoch by epoch, until process 0 sends None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    torch.set_num_threads(spec.trainer.threads)
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    ready.send_bytes(b"ready")
    training.loop.together = together = _join_processes(rank, spec.trainer.devices, meeting)
    with contextlib.suppress(NonFiniteError):  # the first process has it too, and reports it
        while (message := together.receive()) is not None:
            _train_epoch(training, parts, message)


def _train_epoch(training: Training, parts: Parts, message: dict[str, Any]) -> None:
    """Train one epoch from the state that `send_epoch` has sent."""
    parts.network.load_state_dict(message["network"])
    parts.optimizer.load_state_dict(message["optimizer"])
    training.curve = [EpochScores.model_validate(line) for line in message["curve"]]  # for the rate schedule
    training.begin_epoch(message["epoch"])
    for batch in parts.data.epoch(message["epoch"]):
        training.set_learning_rate(parts.optimizer)
        training.train(batch, parts.optimizer)
