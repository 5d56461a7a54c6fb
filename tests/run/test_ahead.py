"""Batches encoded ahead: the same to the bit, in order, and in pinned memory where a card takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

import sgbench
from fastspiking.signals.spikes import SparseSpikes
from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.datasets.batches import SpikingData
from sgbench.training.build import build
from sgbench.training.single_run import encoded_ahead
from tests.run.tiny import WORDS, comparable

CPU, CARD = torch.device("cpu"), torch.device("cuda")


def data_of(*words: str) -> SpikingData:
    """The data of a tiny run, loaded."""
    data = build(compose([*WORDS, *words])).data
    data.setup()
    return data


def numbers(batch: Batch) -> list[Any]:
    """All that a batch holds, as tensors."""
    x = batch.x
    parts = [x.indptr, x.index, x.value] if isinstance(x, SparseSpikes) else [x]
    return [*parts, *batch[1:]]


def assert_same(found: list[Batch], expected: list[Batch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for values, wanted in zip(numbers(one), numbers(other), strict=True):
            assert (values is wanted is None) or torch.equal(values, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1], ids=["encoded", "kept"])
@pytest.mark.parametrize("words", [(), ("encoder=poisson",)], ids=["latency", "drawn"])
def test_a_worker_makes_the_same_batches(words, epoch):
    """Must match to the bit, in order, whatever is drawn; the process's own random numbers stay where they are."""
    data = data_of(*words)
    before = torch.get_rng_state()
    found = list(encoded_ahead(data.epoch(epoch), 3, CPU))
    assert torch.equal(torch.get_rng_state(), before)
    assert_same(found, list(data.epoch(epoch)))


def test_without_a_worker_or_a_card_nothing_is_between():
    """Expected: the batches themselves."""
    batches = data_of().epoch(0)
    assert encoded_ahead(batches, 0, CPU) is batches


@pytest.mark.parametrize("ahead", [0, 4])
def test_a_card_gets_pinned_memory(ahead):
    """Expected: torch's loader is asked to pin, of each split; a CPU's is not."""
    for device in (CARD, CPU):
        data = data_of()
        with data.last_step():
            passes = [data.epoch(0), data.evaluation("validation"), data.evaluation("test")]
            loaders = [encoded_ahead(batches, ahead, device) for batches in passes]
        asked = [loader.pin_memory for loader in loaders if isinstance(loader, DataLoader)]
        assert asked == ([True] * 3 if device is CARD else [False] * (3 if ahead else 0))
        assert {loader.prefetch_factor for loader in loaders if isinstance(loader, DataLoader)} <= {ahead or None}


def test_every_part_of_a_batch_is_pinned(monkeypatch: pytest.MonkeyPatch):
    """Expected by hand: rows, places and values of the events, targets, lengths and positions."""
    pinned: list[Tensor] = []

    def pin(self: Tensor, *_: object) -> Tensor:
        pinned.append(self)
        return self

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    events = SparseSpikes.of(torch.tensor([[[0.0, 2.0]], [[1.0, 0.0]]]))
    batch = Batch(events, *(torch.tensor([value]) for value in (7, 2, 0)))
    assert_same([pin_memory(batch)], [batch])
    assert {id(part) for part in pinned} == {id(part) for part in numbers(batch)}


@pytest.mark.slow
def test_a_run_is_the_same_with_batches_ahead(tmp_path: Path):
    """Must match: the whole record but for times, with noise in the code."""
    words = [*WORDS, "encoder=poisson"]
    alone = sgbench.run(*words, f"paths.runs_dir={tmp_path / 'alone'}")
    ahead = sgbench.run(*words, "trainer.batches_ahead=2", f"paths.runs_dir={tmp_path / 'ahead'}")
    assert alone.status == "finished"
    assert json.dumps(comparable(ahead)) == json.dumps(comparable(alone))
