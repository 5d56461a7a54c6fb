"""The processes that train with the first one: started for a run, sent each epoch, and ended after the run."""

from __future__ import annotations

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
from sgbench.training.epoch_loop import Training
from sgbench.training.together import Together

PATIENCE = timedelta(days=1)
"""How long one process waits for another, which may be scoring a split; the end of a process is seen at once."""


@contextlib.contextmanager
def helper_processes(spec: RunSpec) -> Iterator[Together | None]:
    """Start the other processes that train on shares of each batch, and end them on exit.

    Yields what averages their gradients with those of this process; None where the run has one process alone.
    """
    count = spec.trainer.devices
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        ready = [Pipe(duplex=False) for _ in range(1, count)]
        others = [
            context.Process(target=_assist, args=(spec, rank, meeting, writer), daemon=True)
            for rank, (_, writer) in enumerate(ready, start=1)
        ]
        try:
            for process, (_, writer) in zip(others, ready, strict=True):
                process.start()
                writer.close()  # so that reading ends where the process does
            await_ready(reader for reader, _ in ready)
            together = _meet(0, count, meeting)
            yield together
            together.send(None)
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
    """Wait until all other processes have built their parts.

    Args:
        readers: of the pipes by which they say so, by rank.

    Raises:
        InputError: one of them ended before, and would be waited for in vain.
    """
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


def tell_epoch(training: Training, optimizer: torch.optim.Optimizer) -> None:
    """Send the others the epoch that this process begins, and the weights and steps that it begins from."""
    if training.loop.together is not None:
        training.loop.together.send(
            {
                "epoch": training.epoch,
                "network": training.network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "curve": [line.model_dump() for line in training.curve],
            }
        )


def _meet(rank: int, count: int, meeting: Path) -> Together:
    store = dist.FileStore(str(meeting), count)  # type: ignore[attr-defined]
    return Together(rank, count, dist.ProcessGroupGloo(store, rank, count, PATIENCE))


def _assist(spec: RunSpec, rank: int, meeting: Path, ready: Connection) -> None:
    """Train on shares of all batches until the first process has no more epochs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the first process ends the others
    torch.set_num_threads(spec.trainer.threads)
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    ready.send_bytes(b"ready")
    training.loop.together = together = _meet(rank, spec.trainer.devices, meeting)
    with contextlib.suppress(NonFiniteError):  # the first process has it too, and reports it
        while (said := together.receive()) is not None:
            _train_epoch(training, parts, said)


def _train_epoch(training: Training, parts: Parts, said: dict[str, Any]) -> None:
    parts.network.load_state_dict(said["network"])
    parts.optimizer.load_state_dict(said["optimizer"])
    training.curve = [EpochScores.model_validate(line) for line in said["curve"]]  # which schedules go by
    training.begin_epoch(said["epoch"])
    for batch in parts.data.epoch(said["epoch"]):
        training.set_learning_rate(parts.optimizer)
        training.train(batch, parts.optimizer)
