"""Batches: their order, what they hold, and splits that are refused before any of them.

Legend: N input channels; a split is train, validation or test.
"""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fastspiking.signals.spikes import dense
from sgbench.datasets.base import SPLITS, Samples, fingerprint
from sgbench.datasets.batches import SpikingData
from sgbench.errors import InputError
from tests.datasets.toy import NOWHERE, Toy, make_data


def visited(data: SpikingData, epoch: int) -> list[int]:
    """Positions in the order in which an epoch sees them."""
    return [place for batch in data.epoch(epoch) for place in batch.position.tolist()]


def test_order_is_a_permutation_that_seed_and_epoch_decide():
    """Expected: each sample once; equal for equal seed and epoch whatever batch size and encoder; else another."""
    first = visited(make_data(seed=3), 5)
    assert sorted(first) == list(range(10))
    assert first != list(range(10))
    for same in (make_data(seed=3), make_data(seed=3, batch_size=1), make_data(seed=3, random=True)):
        visited(same, 4)  # an epoch before it leaves no trace
        assert visited(same, 5) == first
    others = [visited(make_data(seed=seed), epoch) for seed, epoch in ((3, 6), (4, 5), (5, 3), (35, 0))]
    assert all(other != first for other in others)


@pytest.mark.slow
def test_order_is_the_same_in_another_process():
    """Expected: equal positions from an interpreter with other hashes and another global random state."""
    code = (
        "import json, random, torch\n"
        "torch.manual_seed(99); torch.rand(7); random.seed(99)\n"
        "from tests.datasets.test_batches import make_data, visited\n"
        "print(json.dumps([visited(make_data(seed=s), e) for s, e in ((0, 0), (0, 1), (7, 0))]))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [visited(make_data(seed=seed), epoch) for seed, epoch in ((0, 0), (0, 1), (7, 0))]
    assert json.loads(finished.stdout) == expected


@pytest.mark.parametrize("batch_size", [1, 4, 10, 99])
def test_batches_hold_what_they_name(batch_size):
    """Expected: x, class and length are those of the sample at `position`; ceil(10/size) batches."""
    data = make_data(Toy(lengths=True), batch_size=batch_size)
    with data.last_step():
        test = data.evaluation("test")
    for batches in (data.epoch(0), test):
        found = list(batches)
        assert len(found) == len(batches) == math.ceil(10 / batch_size)
        assert [len(batch.target) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
        assert sorted(place for batch in found for place in batch.position.tolist()) == list(range(10))
        for batch in found:
            assert batch.x.dtype == torch.float32
            expected = (batch.position.double() / 10).float().expand(3, -1)
            assert torch.equal(batch.x[..., 0], expected)
            assert torch.equal(batch.target, batch.position % 2)
            assert torch.equal(batch.lengths, batch.position % 3 + 1)


def test_samples_without_length_last_all_steps():
    """Expected: T = 3 for each."""
    for batch in make_data().evaluation("train"):
        assert batch.lengths.tolist() == [3] * len(batch.target)


def test_evaluation_keeps_the_order_and_its_code():
    """Expected: positions 0 to 9, and equal bits of a random code each time and whatever the batch size."""
    data = make_data(random=True)
    first = torch.cat([dense(batch.x) for batch in data.evaluation("validation")], 1)
    assert [p for batch in data.evaluation("validation") for p in batch.position.tolist()] == list(range(10))
    list(data.epoch(0))
    for again in (data, make_data(random=True, batch_size=1)):
        assert torch.equal(torch.cat([dense(batch.x) for batch in again.evaluation("validation")], 1), first)


def test_random_codes_differ_between_epochs_splits_and_seeds():
    """Must differ: all samples are equal here, so only the stream of the code can make a difference."""
    equal = Samples(torch.full((10, 1), 0.5).double(), torch.arange(10) % 2, None)
    toy = Toy(**dict.fromkeys(SPLITS, equal))
    data, other = make_data(toy, random=True), make_data(toy, random=True, seed=1)
    passes = [data.epoch(0), data.epoch(1), data.evaluation("validation"), other.epoch(0)]
    with data.last_step(), other.last_step():
        passes += [data.evaluation("test"), other.evaluation("test")]
    codes = [tuple(torch.cat([dense(batch.x) for batch in batches], 1).flatten().tolist()) for batches in passes]
    assert len(set(codes)) == len(codes)


EMPTY = Samples(torch.zeros(0, 1, dtype=torch.float64), torch.zeros(0, dtype=torch.int64), None)
WRONG = {
    "is empty": lambda good: EMPTY,
    "is not finite": lambda good: good._replace(values=torch.tensor([[0.5]] * 9 + [[math.nan]]).double()),
    "has a value outside [0, 1]": lambda good: good._replace(values=good.values + 0.5),
    "has a target outside 0..1": lambda good: good._replace(target=good.target + Toy.n_classes),
    "has no sample of class 0": lambda good: good._replace(target=good.target * 0 + 1),
    "has a sample length below 1": lambda good: good._replace(lengths=torch.zeros(10, dtype=torch.int64)),
    "has samples of up to 10000 steps, the protocol 3; set protocol.steps=10000": lambda good: good._replace(
        lengths=torch.full((10,), 10_000)
    ),
    "has shape (9, 1) and 10 targets, not the declared (10, 1)": lambda good: good._replace(values=good.values[:9]),
    "has shape (10, 2) and 10 targets, not the declared (10, 1)": lambda good: good._replace(
        values=good.values.expand(-1, 2)
    ),
    "holds traces, not the declared values": lambda good: good._replace(values=good.values[:, None]),
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", WRONG)
def test_spoilt_splits_are_refused(split, kind):
    """Expected: one line with the data set, the split and what is wrong, before any batch."""
    spoilt = WRONG[kind](Toy().load(NOWHERE)[split])
    with pytest.raises(InputError, match=f"^data set Toy: split {split} {re.escape(kind)}$"):
        make_data(Toy(**{split: spoilt}))


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_values_are_refused(value):
    """Expected: as NaN; infinity is not finite either."""
    spoilt = Toy().load(NOWHERE)["train"]._replace(values=torch.tensor([[0.5]] * 9 + [[value]]).double())
    with pytest.raises(InputError, match="is not finite"):
        make_data(Toy(train=spoilt))


def test_fingerprint_covers_lengths():
    """Must differ: two data sets that differ in their lengths alone."""
    splits = Toy().load(NOWHERE)
    longer = {**splits, "test": splits["test"]._replace(lengths=torch.full((len(splits["test"].target),), 2))}
    assert fingerprint(splits) != fingerprint(longer)
