"""What must not change a number: padding behind a sample's end, the batch it came in, the order of samples.

Every loss, regulariser, network's counts and score of the catalogue, as a metamorphic test: the expected value is
always that of the same samples in another arrangement. What stands behind a sample's end is random, not zero.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import sgbench
from fastspiking.signals.trajectory import SPIKES, Batch, Trajectory
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.energy.modules import counter_of
from sgbench.losses.base import Loss
from sgbench.networks.base import Network
from sgbench.training.build import build
from sgbench.training.evaluation import Evaluation
from tests.thinned import thinned

LENGTHS = torch.tensor([6, 1, 4, 5, 3])
OUTPUTS = 3
ORDER = torch.tensor([3, 0, 4, 2, 1])
SETTINGS: dict[str, tuple[dict[str, Any], ...]] = {
    "last_window": ({"window_s": 0.002, "dt_s": 0.001},),
    "van_rossum": (
        {"dt_s": 0.001},
        {"tau_decay_s": 0.02, "tau_rise_s": 0.015, "dt_s": 0.001},  # whose peak lies behind the longest sample
    ),
}
LOSSES = [(name, changes) for name in catalogue.entries("loss") for changes in SETTINGS.get(name, ({},))]


class Samples:
    """Random samples that end at different steps, in whatever arrangement.

    Args:
        kind: of the target.
        binary: whether outputs are spikes.
    """

    def __init__(self, kind: str, *, binary: bool) -> None:
        self.random = torch.Generator().manual_seed(5)
        self.binary = binary
        steps, samples = int(LENGTHS.max()), len(LENGTHS)
        self.output = self._outputs(steps)
        self.spikes = self._spikes((steps, samples, 4))
        self.target = {
            "class": torch.randint(OUTPUTS, (samples,), generator=self.random),
            "class_per_step": torch.randint(-1, OUTPUTS, (samples, steps), generator=self.random),
            "trace": torch.randn(samples, steps, OUTPUTS, generator=self.random, dtype=torch.float64),
            "spikes": self._spikes((samples, steps, OUTPUTS)),
        }[kind]

    def _spikes(self, shape: tuple[int, ...]) -> Tensor:
        return (torch.rand(shape, generator=self.random) < 0.4).double()

    def _outputs(self, steps: int) -> Tensor:
        shape = (steps, len(LENGTHS), OUTPUTS)
        if self.binary:
            return self._spikes(shape)
        return torch.randn(shape, generator=self.random, dtype=torch.float64)

    def arranged(self, chosen: Tensor, padding: int) -> tuple[Trajectory, Tensor]:
        """These samples, with so many steps behind the end of the longest of them."""
        lengths = LENGTHS[chosen]
        kept = int(lengths.max())
        parts = [self._padded(each[:kept], padding)[:, chosen] for each in (self.output, self.spikes)]
        target = self.target[chosen]
        if target.ndim > 1:
            longer = self._padded(target[:, :kept].transpose(0, 1), padding).transpose(0, 1)
            target = longer.contiguous()
        return Trajectory(parts[0], lengths, (parts[1],), (), ()), target

    def _padded(self, over_time: Tensor, padding: int) -> Tensor:
        """The same with values from elsewhere behind it."""
        drawn = torch.randint(len(over_time), (padding,), generator=self.random)
        return torch.cat([over_time, over_time[drawn].flip(1)])


def arrangements() -> Iterator[tuple[str, list[Tensor], int]]:
    """Names, batches of sample numbers, and steps of padding; the first is the plain one."""
    everything = torch.arange(len(LENGTHS))
    yield "as they are", [everything], 0
    yield "padded", [everything], 14
    yield "in another order", [ORDER], 0
    yield "in two batches", [ORDER[:2], ORDER[2:]], 0
    yield "one by one, padded", list(everything[:, None]), 3


@functools.cache
def loss_of(name: str, position: int) -> Loss:
    return sgbench.create(f"loss/{name}", **SETTINGS.get(name, ({},))[position])


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", thinned(catalogue.entries("loss"), 3))
def test_losses(name: str) -> None:
    """Expected: the mean over all samples, of their own steps alone; predictions sample by sample."""
    for position in range(len(SETTINGS.get(name, ({},)))):
        loss = loss_of(name, position)
        samples = Samples(loss.targets[0], binary=loss.readout == "binary")
        means, predicted = {}, {}
        for how, batches, padding in arrangements():
            total, rows = 0.0, {}
            for chosen in batches:
                trajectory, target = samples.arranged(chosen, padding)
                total += loss.whole(trajectory, target).item() * len(chosen)
                logits = loss.logits(trajectory)
                by_step = logits.ndim > 2
                for row, sample in enumerate(chosen.tolist()):
                    rows[sample] = logits[row, : LENGTHS[sample]] if by_step else logits[row]
            means[how], predicted[how] = total / len(LENGTHS), rows
        for how, mean in means.items():
            assert mean == pytest.approx(means["as they are"], rel=1e-12), f"{name} {position} {how}"
            for sample, row in predicted[how].items():
                torch.testing.assert_close(row, predicted["as they are"][sample], rtol=1e-12, atol=1e-12)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", catalogue.entries("loss"))
def test_what_is_inside_counts(name: str) -> None:
    """Must differ: another loss once the outputs of a sample's own steps are others."""
    loss = loss_of(name, 0)
    samples = Samples(loss.targets[0], binary=loss.readout == "binary")
    trajectory, target = samples.arranged(torch.arange(len(LENGTHS)), 0)
    other = replace(trajectory, output=1 - trajectory.output)
    assert loss.whole(other, target).item() != pytest.approx(loss.whole(trajectory, target).item(), rel=1e-3)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", catalogue.entries("regulariser"))
def test_regularisers(name: str) -> None:
    """Expected: the mean over all samples; a total over a batch, as its own page says, in whole batches alone."""
    strengths = {"activity_bounds": {"lower_spikes": 3.0, "upper_spikes": 0.5}}
    penalty = sgbench.create(f"regulariser/{name}", **strengths.get(name, {}))
    samples = Samples("class", binary=True)
    found = {}
    for how, batches, padding in arrangements():
        if name == "total_activity" and len(batches) > 1:
            continue
        parts = [penalty.penalty(samples.arranged(chosen, padding)[0]) for chosen in batches]
        if parts[0] is None:
            assert name == "none"
            return
        weights = [len(chosen) / len(LENGTHS) for chosen in batches]
        found[how] = sum(w * part.item() for w, part in zip(weights, parts, strict=True))
    assert found["as they are"] > 0
    for how, value in found.items():
        assert value == pytest.approx(found["as they are"], rel=1e-12), f"{name} {how}"


@functools.cache
def network(name: str, recurrence: str) -> Network:
    """An entry with few neurons, and weights at which they fire."""
    words = ("experiment=digits", f"network={name}", "protocol.steps=6", "init.gain=3")
    changes = [f"network.recurrence={recurrence}"] if recurrence != "none" else []
    return build(compose([*words, *changes, "protocol.precision=float64"])).network


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", thinned(catalogue.entries("network"), 3))
def test_counts_and_scores(name: str) -> None:
    """Expected: every operation count and activity to the bit, accuracy and loss, whatever the arrangement."""
    known = catalogue.entry("network", name).parameters
    for recurrence in ("none", "all_to_all") if "recurrence" in known else ("none",):
        _assert_same_counts(network(name, recurrence).eval(), f"{name} {recurrence}")


def _assert_same_counts(made: Network, where: str) -> None:
    random = torch.Generator().manual_seed(2)
    x = (torch.rand(int(LENGTHS.max()), len(LENGTHS), 64, generator=random) < 0.3).double()
    target = torch.randint(10, (len(LENGTHS),), generator=random)
    loss = loss_of("max_over_time", 0)
    counts, scores = {}, {}
    for how, batches, padding in arrangements():
        counter, evaluation = counter_of(made, "binary", bits=32), Evaluation(made, dt_s=0.001)
        for chosen in batches:
            kept = int(LENGTHS[chosen].max())
            own = torch.cat([x[:kept], x[:1].flip(1).expand(padding, -1, -1)])[:, chosen]
            batch = Batch(own, target[chosen], LENGTHS[chosen], chosen)
            with torch.no_grad():
                trajectory = made.unroll(own, batch.lengths, keep=frozenset({SPIKES}))
            counter.update(batch, trajectory)
            evaluation.update(batch, trajectory, loss.logits(trajectory), loss.whole(trajectory, batch.target))
        counts[how], scores[how] = counter.result(), evaluation.scores()
    plain = scores["as they are"]
    assert counts["as they are"].layers[0].spikes_sent.total or not made.spiking, where
    for how, counted in counts.items():
        assert counted == counts["as they are"], f"{where} {how}"
        assert scores[how].accuracy == plain.accuracy
        assert scores[how].activity == plain.activity
        assert scores[how].loss == pytest.approx(plain.loss, rel=1e-12)
