"""Metrics for torchmetrics: values by hand, and what torchmetrics asks of each metric."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

import sgbench
from sgbench.diagnosis.robustness import Point, area
from sgbench.errors import InputError
from sgbench.metrics import EnergyPerInference, Robustness, SpikeRate, SynapticOperations, TimeToFirstSpike
from sgbench.training.evaluation import Activity
from tests.messages import raises_naming


class Case(NamedTuple):
    """A metric, batches of its arguments, and its value over all of them, found another way."""

    make: Callable[[], Metric]
    batches: Sequence[tuple[Any, ...]]
    value: float


def drawn(seed: int, *shape: int, rate: float = 0.3) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


SPIKES = [drawn(seed, 9, 4 + seed, 6) for seed in range(3)]
LATE = [drawn(seed, 9, 4, 2, rate=0.1) for seed in range(3)]
with torch.random.fork_rng():  # the same in each process
    torch.manual_seed(0)
    NETWORK = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
COUNTS = [sgbench.energy_of(NETWORK, one[0], input_kind="binary", targets=["horowitz_45nm"]) for one in SPIKES]
TARGET = torch.tensor([0, 1, 0, 1])
RIGHT = nn.functional.one_hot(TARGET, 2).float()
HALF = nn.functional.one_hot(torch.zeros(4, dtype=torch.int64), 2).float()


def first_steps() -> float:
    """In plain loops: the first step of a sample with a spike, else 9."""
    firsts = [
        next((step for step in range(9) if bool(batch[step, sample].any())), 9) for batch in LATE for sample in range(4)
    ]
    return sum(firsts) / len(firsts)


CASES = {
    "SpikeRate": Case(
        SpikeRate, [(one,) for one in SPIKES], torch.cat([one.flatten() for one in SPIKES]).mean().item()
    ),
    "TimeToFirstSpike": Case(TimeToFirstSpike, [(one,) for one in LATE], first_steps()),
    "SynapticOperations": Case(
        lambda: SynapticOperations(dense=True), [(one.counts,) for one in COUNTS], 6 * 5 + 5 * 2
    ),
    "EnergyPerInference": Case(
        lambda: EnergyPerInference("horowitz_45nm", partial=True),
        [(one.counts,) for one in COUNTS],
        sum(one["horowitz_45nm"].priced_nj.value * one.counts.samples for one in COUNTS)  # type: ignore[union-attr]
        / sum(one.counts.samples for one in COUNTS),
    ),
    "Robustness": Case(lambda: Robustness(2), [(RIGHT, TARGET, 0), (HALF, TARGET, 1), (RIGHT, TARGET, 0)], 0.75),
}
all_metrics = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def filled(case: Case, batches: slice = slice(None)) -> Metric:
    metric = case.make()
    for batch in case.batches[batches]:
        metric.update(*batch)
    return metric


@all_metrics
def test_the_value_over_batches(case: Case) -> None:
    """Expected: found another way over all samples; the same through `forward`, and after a reset."""
    metric = filled(case)
    assert metric.compute().item() == pytest.approx(case.value)
    assert metric.compute().shape == ()
    metric.reset()
    assert metric.update_called is False
    for batch in case.batches:
        metric.update(*batch)
    assert metric.compute().item() == pytest.approx(case.value)


@pytest.mark.parametrize("name", [name for name in CASES if name != "Robustness"])
def test_forward_gives_the_value_of_the_batch(name: str) -> None:
    """Must match a metric that saw this batch alone; the sum goes on over all. Robustness needs all severities."""
    case = CASES[name]
    metric = case.make()
    for batch in case.batches:
        alone = case.make()
        alone.update(*batch)
        assert torch.equal(metric(*batch), alone.compute())
    assert metric.compute().item() == pytest.approx(case.value)


@all_metrics
def test_copies_and_states(case: Case) -> None:
    """Must match: pickled, cloned, and restored from a state; a clone goes on by itself."""
    metric = filled(case)
    metric.persistent(True)
    for other in (pickle.loads(pickle.dumps(metric)), metric.clone()):  # noqa: S301 - our own
        assert torch.equal(other.compute(), metric.compute())
    restored = case.make()
    restored.persistent(True)
    restored.load_state_dict(metric.state_dict())
    restored._update_count = 1
    assert torch.equal(restored.compute(), metric.compute())
    clone = metric.clone()
    clone.update(*case.batches[0])
    assert metric.update_count == clone.update_count - 1


@all_metrics
def test_two_processes_are_one(case: Case) -> None:
    """Must match: two metrics with half of the batches, merged, and as the processes of a group reduce them."""
    one, other = filled(case, slice(0, 1)), filled(case, slice(1, None))
    states: dict[int, dict[str, Tensor]] = {
        rank: {name: getattr(metric, name).clone() for name in metric._defaults}
        for rank, metric in enumerate((one, other))
    }
    reduced = case.make()
    turn = iter(list(zip(*(states[rank].values() for rank in (0, 1)), strict=True)))
    reduced.update(*case.batches[0])
    reduced.dist_sync_fn = lambda _tensor, group=None: list(next(turn))
    reduced.distributed_available_fn = lambda: True
    assert reduced.compute().item() == pytest.approx(case.value)
    one.merge_state(other)
    assert one.compute().item() == pytest.approx(case.value)


def _in_a_group(rank: int, meeting: str, answers: Any) -> None:
    """One of two processes: a batch in turn of every metric, and the value of both."""
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    values = {}
    for name, case in CASES.items():
        metric = case.make()
        for batch in case.batches[rank::2]:
            metric.update(*batch)
        values[name] = metric.compute().item()
    answers.put((rank, values))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_of_torch_are_one(tmp_path: Path) -> None:
    """Must match in both: the value over all batches, which torchmetrics gathers by torch's own group."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_in_a_group, args=(rank, str(tmp_path / "m"), answers)) for rank in (0, 1)]
    for process in processes:
        process.start()
    told = dict(answers.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    for values in told.values():
        assert values == pytest.approx({name: case.value for name, case in CASES.items()})
    assert sorted(told) == [0, 1]


@all_metrics
def test_it_draws_itself(case: Case) -> None:
    """A figure with axes, of one value and of several."""
    metric = filled(case)
    figure, axes = metric.plot()
    assert axes in figure.axes
    figure, _ = metric.plot([metric.compute(), metric.compute()])
    assert len(figure.axes) == 1


def test_steps_behind_a_samples_end_do_not_count() -> None:
    """Must match what records hold of a layer; by hand, a sample that is silent to its end counts with its end."""
    spikes, lengths = SPIKES[0], torch.tensor([9, 5, 1, 3])
    rate, activity = SpikeRate(), Activity("hidden", 6, dt_s=1e-3)
    rate.update(spikes, lengths)
    activity.update(spikes, lengths)
    assert rate.compute().item() == pytest.approx(activity.scores().rate_per_step)
    late = torch.zeros(9, 2, 3)
    late[4, 0] = 1
    time = TimeToFirstSpike(dt_s=0.5)
    time.update(late, torch.tensor([9, 2]))
    assert time.compute().item() == 0.5 * (4 + 2) / 2
    time.reset()
    time.update(late, torch.tensor([3, 2]))  # the spike lies behind the end
    assert time.compute().item() == 0.5 * (3 + 2) / 2


def test_operations_that_spikes_cause() -> None:
    """By hand: each input spike to five neurons, and each positive hidden value to two."""
    metric = SynapticOperations()
    metric.update(COUNTS[0].counts)
    hidden = (NETWORK[0](SPIKES[0][0]) > 0).sum()
    assert metric.compute().item() == (SPIKES[0][0].sum() * 5 + hidden * 2).item() / 4


def test_the_area_is_that_of_the_command() -> None:
    """Must match `diagnosis.robustness.area` of the same accuracies: 1, 1/2 and 1."""
    metric = Robustness(3)
    for severity, logits in enumerate((RIGHT, HALF, RIGHT)):
        metric.update(logits, TARGET, severity)
    points = [Point(float(index), score, score, score) for index, score in enumerate((1.0, 0.5, 1.0))]
    assert metric.compute().item() == pytest.approx(area(points))


def test_they_stand_in_a_collection() -> None:
    """Must match: two metrics of the same arguments, computed together."""
    both = MetricCollection([SpikeRate(), TimeToFirstSpike()])
    both.update(SPIKES[0])
    assert both.compute()["SpikeRate"].item() == pytest.approx(SPIKES[0].mean().item())


def test_what_cannot_be_is_named() -> None:
    """Expected: the chip, the severity, the shape, and the operation without a price."""
    with raises_naming(InputError, "loihi9", "loihi1"):
        EnergyPerInference("loihi9")
    with raises_naming(InputError, "severity=2", "0 to 1"):
        Robustness(2).update(RIGHT, TARGET, 2)
    with raises_naming(InputError, "(3,)", "steps"):
        SpikeRate().update(torch.zeros(3))
    with raises_naming(InputError, "hicann", "multiply_accumulate", "partial=True"):
        EnergyPerInference("hicann").update(COUNTS[0].counts)
