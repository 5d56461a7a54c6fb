"""Forward mode: forward gradients over a basis, real-time recurrent learning, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.rules.forward_gradient import ForwardGradient, slope_along
from sgbench.rules.rtrl import Rtrl, Snap1
from sgbench.rules.tangents import learnt_parameters
from sgbench.training.build import Parts, build
from tests.contracts.gradients import seeded, whole_gradient
from tests.contracts.rows import batch_of
from tests.entries import spec_with
from tests.run.tiny import WORDS

SMALL = {
    "protocol.steps": 5,
    "protocol.batch_size": 4,
    "protocol.hidden": [3],
    "protocol.precision": "float64",
    "network.recurrence": "all_to_all",
    "init.gain": 2.0,
}


def small(rule: str, choices: dict[str, str] | None = None, **values: object) -> tuple[Parts, Batch]:
    """Return a recurrent network of three neurons in float64, and a batch of digits for it."""
    spec = spec_with({"rule": rule, "loss": "per_step", **(choices or {})}, {**SMALL, **values})
    parts = build(spec)
    return parts, batch_of(parts, spec)


def flat(gradients: dict[str, Tensor]) -> Tensor:
    return torch.cat([each.flatten() for each in gradients.values()])


def by_rule(parts: Parts, batch: Batch) -> Tensor:
    parts.network.zero_grad()
    list(parts.rule.gradients(parts.network, batch, parts.objective))
    return flat({name: weight.grad for name, weight in parts.network.named_parameters()})


def test_slopes_over_an_orthonormal_basis_are_the_gradient() -> None:
    """Must match: slopes along the columns of a drawn rotation, times these, summed; BPTT by loops, to 1e-10."""
    parts, batch = small("forward_gradient")
    weights = learnt_parameters(parts.network)
    shapes = [(name, each.shape, each.numel()) for name, each in weights.items()]
    count = sum(number for *_, number in shapes)
    noise = torch.randn(count, count, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    basis, _ = torch.linalg.qr(noise)

    def slope(column: Tensor) -> Tensor:
        pieces = column.split([number for *_, number in shapes])
        direction = {name: piece.view(shape) for (name, shape, _), piece in zip(shapes, pieces, strict=True)}
        return slope_along(parts.network, batch, parts.objective, direction)[1]

    total = torch.func.vmap(slope)(basis.T) @ basis.T
    expected = flat(whole_gradient(parts.network, batch, parts.objective))
    assert (total - expected).abs().max() < 1e-10 * expected.abs().max()


def test_several_directions_are_averaged() -> None:
    """Must match: the gradient by loops projected on each of three drawn directions, and their mean, to 1e-10."""
    parts, batch = small("forward_gradient", **{"rule.draws": 3})
    exact = whole_gradient(parts.network, batch, parts.objective)
    seeded(parts.network)
    expected = torch.zeros_like(flat(exact))
    for _ in range(3):
        direction = flat({name: parts.network.rule_noise.normal_like(each) for name, each in exact.items()})
        expected += (flat(exact) @ direction) * direction / 3
    seeded(parts.network)
    assert (by_rule(parts, batch) - expected).abs().max() < 1e-10 * expected.abs().max()


def test_directions_are_the_networks_own_and_change_from_batch_to_batch() -> None:
    """Must match: the same stream anew. Must differ: the next batch; torch's global generator moves nothing."""
    parts, batch = small("forward_gradient")
    seeded(parts.network)
    torch.manual_seed(1)
    first, second = by_rule(parts, batch), by_rule(parts, batch)
    seeded(parts.network)
    torch.manual_seed(2)
    assert torch.equal(by_rule(parts, batch), first)
    assert not torch.equal(first, second)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("choices", "values"),
    [
        ({"neuron": "alif"}, {}),
        ({"readout": "synaptic_readout"}, {"neuron.learn_beta": "per_neuron"}),
        ({"steepness": "learned", "surrogate": "sigmoid"}, {}),
        ({"firing": "escape"}, {}),
    ],
)
def test_rtrl_is_bptt_of_other_neurons(choices: dict[str, str], values: dict[str, object]) -> None:
    """Must match: back-propagation to 1e-10 for neurons of more states, numbers that learn, and the same noise.

    Must differ: SnAp-1 of the same network.
    """
    parts, batch = small("rtrl", choices, **values)
    seeded(parts.network)
    expected = flat(whole_gradient(parts.network, batch, parts.objective))
    seeded(parts.network)
    assert (by_rule(parts, batch) - expected).abs().max() < 1e-10 * expected.abs().max()
    parts, batch = small("snap1", choices, **values)
    seeded(parts.network)
    assert (by_rule(parts, batch) - expected).abs().max() > 1e-4 * expected.abs().max()


def test_rtrl_carries_a_loss_that_remembers() -> None:
    """Must match: back-propagation of the van Rossum distance, whose share of a step depends on earlier ones."""
    wanted = {"dataset": "spike_patterns", "encoder": "binned", "loss": "van_rossum", "readout": "leaky"}
    more = {"protocol.monitor": "validation_loss", "protocol.hidden": [3]}
    parts, batch = small("rtrl", wanted, **more)
    expected = flat(whole_gradient(parts.network, batch, parts.objective))
    assert expected.any()
    assert (by_rule(parts, batch) - expected).abs().max() < 1e-10 * expected.abs().max()


def test_snap1_is_eprop_where_no_neuron_reaches_itself() -> None:
    """Must match: the rule e-prop on the same weights, recurrent spikes cut, once V has no diagonal, to 1e-10.

    Must differ: with a diagonal.
    """
    parts, batch = small("snap1")
    cut, _ = small("eprop", **{"network.recurrence_gradient": "cut"})
    for is_zero in (False, True):
        for each in (parts, cut):
            if is_zero:
                each.network.layers[0].recurrent.data.fill_diagonal_(0.0)
        found, eprop = by_rule(parts, batch), by_rule(cut, batch)
        inside = (parts.network.layers[0].recurrent == 0).flatten()
        apart = ((found - eprop).abs().max() / eprop.abs().max()).item()
        assert (apart < 1e-10) == is_zero, apart
        assert inside.any() == is_zero


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rule=rtrl", "protocol.hidden=[51]", "loss=per_step"), r"51 hidden ones; up to 50.*use rule=bptt$"),
        (("rule=rtrl",), r"use loss=per_step$"),
        (("rule=snap1", "loss=per_step", "regulariser=activity_bounds"), r"rule=snap1: .*use regulariser=none$"),
        (("rule=snap1", "loss=per_step", "network=delayed"), r"delay what they transmit; use rule=bptt$"),
        (("rule=rtrl", "loss=per_step", "neuron=psn"), r"all time steps at once; use rule=bptt$"),
        (("rule=forward_gradient", "rule.draws=0"), r"rule\.draws"),
        (("rule=forward_gradient", "neuron=noisy"), r"drawn outside of a firing.*use rule=bptt$"),
    ],
)
def test_what_they_are_not_defined_for_is_refused(words: tuple[str, ...], says: str) -> None:
    """Expected: one line that names the option and the remedy."""
    with pytest.raises(InputError, match=says):
        build(compose([*WORDS, *words]))


def test_names_are_those_of_their_entries() -> None:
    """Expected: messages name what a user chose."""
    assert (Rtrl.name, Snap1.name) == ("rtrl", "snap1")
    assert ForwardGradient.by_chance
