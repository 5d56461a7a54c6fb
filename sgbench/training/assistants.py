"""The processes that train with the first one: started for a run, told of each epoch, and ended behind it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist

from sgbench.errors import NonFiniteError
from sgbench.records.content import EpochScores
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.epoch_loop import Training
from sgbench.training.together import Together

PATIENCE = timedelta(minutes=30)
"""How long one process waits for another, which may be scoring a split."""


@contextlib.contextmanager
def assisted(spec: RunSpec) -> Iterator[Together | None]:
    """Start the other processes of a run, and end them behind it; None where it has one alone."""
    count = spec.trainer.devices
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        others = [
            context.Process(target=_assist, args=(spec, rank, meeting), daemon=True)
            for rank in range(1, count)
        ]
        for process in others:
            process.start()
        try:
            together = _meet(0, count, meeting)
            yield together
            together.tell(None)
        except BaseException:
            for process in others:
                process.terminate()
            raise
        finally:
            for process in others:
                process.join()


def tell_epoch(training: Training, optimizer: torch.optim.Optimizer) -> None:
    """Send the others the epoch that this process begins, and the weights and steps that it begins from."""
    if training.loop.together is not None:
        training.loop.together.tell(
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


def _assist(spec: RunSpec, rank: int, meeting: Path) -> None:
    """Train on shares of all batches until the first process has no more epochs."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes; the first one ends the others
    torch.set_num_threads(spec.trainer.threads)
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    training.loop.together = together = _meet(rank, spec.trainer.devices, meeting)
    with contextlib.suppress(NonFiniteError):  # the first process has it too, and tells it
        while (said := together.hear()) is not None:
            _train_epoch(training, parts, said)


def _train_epoch(training: Training, parts: Parts, said: dict[str, Any]) -> None:
    parts.network.load_state_dict(said["network"])
    parts.optimizer.load_state_dict(said["optimizer"])
    training.curve = [EpochScores.model_validate(line) for line in said["curve"]]  # which schedules go by
    training.begin_epoch(said["epoch"])
    for batch in parts.data.epoch(said["epoch"]):
        for group in parts.optimizer.param_groups:
            group["lr"] = training.learning_rate()
        training.train(batch, parts.optimizer)
