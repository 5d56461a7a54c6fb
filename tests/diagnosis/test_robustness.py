"""Scores under disturbances, against counts by hand and against scores of what they amount to."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import pytest
import torch

from fastspiking.signals.spikes import SparseSpikes, dense
from fastspiking.signals.trajectory import SPIKES, Batch, Trajectory
from sgbench.diagnosis import disturbances
from sgbench.diagnosis.robustness import DISTURBANCES, Disturbed, RobustnessCurve, checked_levels, checked_names
from sgbench.errors import InputError
from sgbench.losses.base import OutputLoss
from sgbench.networks.base import Network
from sgbench.records.content import Scores
from sgbench.training.evaluation import Evaluation
from tests.diagnosis.made import network, rectangle
from tests.messages import missing, raises_naming

STEPS, SAMPLES, CHANNELS = 6, 8, 5
NETWORK = functools.partial(network, [CHANNELS, 7, 3], rectangle, gain=3.0)


class Summed(OutputLoss):
    """Cross-entropy of summed outputs."""

    def each(self, trajectory: Trajectory, target: torch.Tensor) -> torch.Tensor:
        """That of each sample."""
        return torch.nn.functional.cross_entropy(trajectory.output.sum(0), target, reduction="none")


def score(net: Network, batches: Iterable[Batch]) -> Scores:
    """Accuracy and loss, by the evaluation that runs use."""
    evaluation = Evaluation(net, dt_s=1e-3)
    for batch in batches:
        trajectory = net.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
        loss = Summed().whole(trajectory, batch.target)
        evaluation.update(batch, trajectory, trajectory.output.sum(0), loss)
    return evaluation.scores()


def some_batch(*, packed: bool = True, seed: int = 0) -> Batch:
    """Random spikes of samples that end at different steps."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, SAMPLES, CHANNELS, generator=generator) < 0.4).double()
    lengths = torch.tensor([6, 6, 5, 4, 6, 3, 6, 2])
    x *= (torch.arange(STEPS)[:, None] < lengths)[..., None]
    target = torch.randint(0, 3, (SAMPLES,), generator=generator)
    return Batch(SparseSpikes.of(x) if packed else x, target, lengths, torch.arange(SAMPLES))


def curves(
    batches: list[Batch], *names: str, levels: list[float] | None = None, **options: Any
) -> list[RobustnessCurve]:
    """Of the network above."""
    given: dict[str, Any] = {"seed": 0, "dt_s": 1e-3, "input_is_spikes": True, "draws": 2, **options}
    return Disturbed(NETWORK(), lambda: batches, score, **given).curves(names, levels)


def drawn(seed: int = 0) -> torch.Generator:
    """A generator of its own."""
    return torch.Generator().manual_seed(seed)


def test_every_curve_begins_with_the_undisturbed_score_and_the_network_stays() -> None:
    """Must match: the score of the network as it is; weights, thresholds and input are as before."""
    batch, net = some_batch(), NETWORK()
    before = [weight.clone() for weight in net.parameters()]
    clean = score(net, [batch]).accuracy
    given: dict[str, Any] = {"seed": 0, "dt_s": 1e-3, "input_is_spikes": True, "draws": 2}
    found = Disturbed(net, lambda: [batch], score, **given).curves(list(DISTURBANCES))
    assert [curve.reason for curve in found] == [None] * 9
    assert {curve.points[0].mean for curve in found} == {clean}
    assert [len(curve.points) - 1 for curve in found] == [len(kind.severities) for kind in DISTURBANCES.values()]
    assert all(torch.equal(one, other) for one, other in zip(before, net.parameters(), strict=True))
    again = Disturbed(net, lambda: [batch], score, **given).curves(["threshold", "jitter_s"])
    assert again == [found[-1], found[0]]  # one disturbance does not shift the numbers of another


@pytest.mark.parametrize("packed", [True, False])
def test_without_spikes_the_score_is_that_of_silence(packed: bool) -> None:
    """Hand count: all spikes deleted, or all channels dead, is the score of an input of zeros."""
    batch = some_batch(packed=packed)
    silent = batch._replace(x=torch.zeros(STEPS, SAMPLES, CHANNELS, dtype=torch.float64))
    wanted = score(NETWORK(), [silent]).accuracy
    for name in ("delete", "dead_channels"):
        (curve,) = curves([batch], name, levels=[1.0])
        assert curve.points[1].mean == wanted


def test_a_symmetric_input_played_backwards_is_itself() -> None:
    """Hand count: a palindrome within each sample's own length stays, another input does not."""
    batch = some_batch()
    x = dense(batch.x)
    for sample, length in enumerate(batch.lengths.tolist()):
        x[:length, sample] += x[:length, sample].flip(0)
    symmetric = batch._replace(x=SparseSpikes.of(x))
    turn = disturbances.make_reversal(1.0, drawn(), 1e-3)
    assert torch.equal(dense(turn(symmetric).x), x)
    assert not torch.equal(dense(turn(batch).x), dense(batch.x))
    assert torch.equal(dense(turn(turn(batch)).x), dense(batch.x))
    first = dense(turn(batch).x)[:, 3]
    assert torch.equal(first[:4], dense(batch.x)[:4, 3].flip(0))


def test_jitter_keeps_spikes_inside_and_none_moves_without_it() -> None:
    """Hand count: a deviation of 0 changes nothing; one of ten steps moves spikes within their sample alone."""
    batch = some_batch()
    assert torch.equal(dense(disturbances.make_jitter(0.0, drawn(), 1e-3)(batch).x), dense(batch.x))
    moved = dense(disturbances.make_jitter(0.01, drawn(), 1e-3)(batch).x)
    assert not torch.equal(moved, dense(batch.x))
    assert ((moved != 0).sum((0, 1)) <= (dense(batch.x) != 0).sum((0, 1))).all()  # two in one place are one
    for sample, length in enumerate(batch.lengths.tolist()):
        assert not moved[length:, sample].any()
    single = Batch(SparseSpikes.of(torch.ones(1, 2, 3)), torch.zeros(2).long(), torch.ones(2).long(), torch.arange(2))
    assert torch.equal(dense(disturbances.make_jitter(1.0, drawn(), 1e-3)(single).x), torch.ones(1, 2, 3))


def test_what_is_lost_and_added_has_the_expected_counts() -> None:
    """Mathematics: 2000 spikes lost with 0.25 leave 1500 within five deviations of 19; losses are nested."""
    x = torch.zeros(100, 4, 20)
    x[:, :, ::4] = 1
    batch = Batch(SparseSpikes.of(x), torch.zeros(4).long(), torch.full((4,), 100), torch.arange(4))
    some = dense(disturbances.make_deletion(0.25, drawn(), 1e-3)(batch).x)
    fewer = dense(disturbances.make_deletion(0.5, drawn(), 1e-3)(batch).x)
    assert some.sum() == pytest.approx(1500, abs=97)
    assert not ((fewer == 1) & (some == 0)).any()
    more = dense(disturbances.make_insertion(0.5, drawn(), 1e-3)(batch).x)
    # 1000 of 8000 places are drawn; a quarter of them are taken already.
    assert (more.sum() - 2000).item() == pytest.approx(750, abs=130)
    assert (more[x == 1] == 1).all()
    dead = dense(disturbances.make_dead_channels(0.5, drawn(), 1e-3)(batch._replace(x=torch.ones(100, 4, 20))).x)
    assert dead.sum((0, 1)).tolist().count(0.0) == 10


def test_batches_of_another_size_meet_the_same_disturbances() -> None:
    """Must match: two halves in a row are disturbed like the whole."""
    whole = some_batch()
    halves = [
        Batch(SparseSpikes.of(dense(whole.x)[:, part]), whole.target[part], whole.lengths[part], whole.position[part])
        for part in (slice(0, 4), slice(4, 8))
    ]
    for make, severity in (
        (disturbances.make_jitter, 0.003),
        (disturbances.make_deletion, 0.5),
        (disturbances.make_insertion, 0.5),
        (disturbances.make_dead_channels, 0.4),
    ):
        one, two = make(severity, drawn(), 1e-3), make(severity, drawn(), 1e-3)
        joined = torch.cat([dense(two(half).x) for half in halves], 1)
        assert torch.equal(dense(one(whole).x), joined), make.__name__


def test_longer_steps_bring_the_same_charge_and_decay() -> None:
    """Hand count: two steps of beta 0.9 are one of 0.81, sums of inputs stay, and 5 steps become 3."""
    batch = some_batch()
    coarse = disturbances.make_longer_steps(2.0, drawn(), 1e-3)(batch)
    assert coarse.lengths.tolist() == [3, 3, 3, 2, 3, 2, 3, 1]
    assert torch.equal(dense(coarse.x), dense(batch.x)[0::2] + dense(batch.x)[1::2])
    longer = disturbances.with_longer_steps(NETWORK(), 2.0, drawn())
    assert [layer.neuron.beta() for layer in longer.layers] == pytest.approx([0.81, 0.81])  # type: ignore[union-attr, operator]
    # A subthreshold potential at the end of an input that comes at the end of each long step is the same.
    x = torch.zeros(STEPS, 1, CHANNELS, dtype=torch.float64)
    x[1::2] = 0.01
    given = Batch(x, torch.zeros(1).long(), torch.tensor([STEPS]), torch.arange(1))
    wanted = NETWORK().unroll(x, given.lengths, keep=frozenset({"u"})).u[0][-1]
    changed = disturbances.make_longer_steps(2.0, drawn(), 1e-3)(given)
    found = longer.unroll(changed.x, changed.lengths, keep=frozenset({"u"})).u[0][-1]
    assert torch.allclose(found, wanted, atol=1e-12)


def test_bits_noise_and_mismatch_are_what_they_say() -> None:
    """Hand count: levels of few bits; 32 bits change nothing to single precision; spreads of what is drawn."""
    net = NETWORK()
    coarse = disturbances.with_bits(net, 3.0, drawn())
    for weight, old in zip(coarse.parameters(), net.parameters(), strict=True):
        levels = (weight * 3 / old.abs().max()).round(decimals=6).flatten().tolist()
        assert set(levels) <= set(range(-3, 4))
        assert (weight - old).abs().max() <= old.abs().max() / 6 + 1e-12
    fine = disturbances.with_bits(net, 32.0, drawn())
    assert all(
        torch.allclose(*pair, rtol=0, atol=1e-8) for pair in zip(fine.parameters(), net.parameters(), strict=True)
    )
    assert score(fine, [some_batch()]).accuracy == score(net, [some_batch()]).accuracy
    wide = network([50, 40, 3], rectangle)
    noisy = disturbances.with_noise(wide, 0.5, drawn())
    old = wide.layers[0].weight  # type: ignore[union-attr]
    change = noisy.layers[0].weight - old  # type: ignore[union-attr, operator]
    assert change.std().item() / old.square().mean().sqrt().item() == pytest.approx(0.5, rel=0.1)  # type: ignore[operator, union-attr]
    thresholds = disturbances.with_mismatch(wide, 0.2, drawn()).layers[0].neuron.threshold()  # type: ignore[union-attr, operator]
    assert thresholds.shape == (40,)
    assert thresholds.mean().item() == pytest.approx(1.0, abs=0.1)
    assert 0.1 < thresholds.std().item() < 0.3
    severe = disturbances.with_mismatch(wide, 10.0, drawn()).layers[0].neuron.threshold()  # type: ignore[union-attr, operator]
    assert severe.min().item() == pytest.approx(0.05)


def test_what_a_disturbance_is_not_defined_for_is_a_reason_and_nonsense_is_refused() -> None:
    """Values instead of spikes, targets of steps, unknown names, severities out of range: a line each."""
    (curve,) = curves([some_batch()], "delete", input_is_spikes=False)
    assert (curve.points, curve.area) == ((), None)
    assert missing(curve.reason, "values", "spikes") == []
    by_step = some_batch()._replace(target=torch.zeros(SAMPLES, STEPS).long())
    with raises_naming(InputError, "step", "target"):
        disturbances.make_reversal(1.0, drawn(), 1e-3)(by_step)
    with raises_naming(InputError, "--what jitter", "'jitter_s'"):
        checked_names(["jitter"])
    for name, levels, said in (
        ("delete", [1.5], r"--levels of delete=1.5: a number in \[0, 1\]"),
        ("weight_bits", [1], "--levels of weight_bits=1"),
        ("time_step", [2.5], "--levels 2.5: time_step takes whole numbers"),
        ("delete", [], "1 to 50 numbers"),
    ):
        with pytest.raises(InputError, match=said):
            checked_levels(name, levels)
    with pytest.raises(InputError, match="--draws=0"):
        curves([some_batch()], "delete", draws=0)
