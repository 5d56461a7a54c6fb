"""What every learning rule of the catalogue keeps; its gradients against autograd over plain loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fastspiking.signals.trajectory import Batch
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.networks.base import Chain
from sgbench.rules.base import Claim, LearningRule
from tests.contracts.claims import claimed, compared, gradients, parts_of, rule_class
from tests.contracts.gradients import REFERENCES, seeded
from tests.contracts.rows import Recipe, mended, recipe, remedies, trained
from tests.entries import made, spec_with
from tests.thinned import thinned

NAMES = tuple(name for name, entry in catalogue.entries("rule").items() if entry.canonical == name)
WHOLE = ("bptt", "feedback_alignment", "frozen", "reinforce")
"""Rules whose gradient is autograd's of the whole network, by weights of their own, of a part or of a draw."""
STEPWISE = ("forward_gradient", "rtrl", "snap1")
"""Rules that go forward through the whole network, so that its pass is theirs."""
ANYWHERE = ("feedback_alignment", "frozen", "reinforce")
"""Rules whose first gradient need not point along back-propagation's: drawn layers in a row that have aligned with
nothing yet, no gradient at all, and a single draw."""
every = pytest.mark.parametrize("name", NAMES)


@every
def test_it_says_what_it_takes(name):
    """So that records tell its memory and locality, and `sgbench energy train` prices it."""
    assert rule_class(name).demand is not LearningRule.demand


@pytest.mark.one_in(8)
@every
def test_it_equals_what_it_says(name: str) -> None:
    """Must match: `exact_reference`, autograd over loops that are written out, to the rounding of float64."""
    for row in compared(name, rule_class(name).exact_reference):
        assert row.found is not None, row.name
        assert row.found.shape == row.expected.shape
        assert row.error < 1e-11, f"{row.name}: {row.error}"


@pytest.mark.one_in(8)
@every
def test_it_differs_from_what_it_says(name: str) -> None:
    """Must differ: `must_differ_from`, by more than 0.1 % in every parameter; all in all it points the same way."""
    rows = compared(name, rule_class(name).must_differ_from)
    for row in rows:
        assert row.error > 1e-3, f"{row.name}: {row.error}"
    if name not in ANYWHERE:
        assert sum((row.found * row.expected).sum().item() for row in rows if row.found is not None) > 0


@every
def test_declarations_are_claims_of_this_rule(name: str) -> None:
    """Expected: two claims of the rule's own class, and the reference that its file names."""
    made = rule_class(name)
    assert isinstance(made.exact_reference, Claim)
    assert isinstance(made.must_differ_from, Claim)
    assert made.exact_reference != made.must_differ_from
    assert catalogue.entry("rule", name).meta["exact_reference"] == made.exact_reference.reference


def test_references_differ_from_one_another() -> None:
    """Must differ: in a deep recurrent network each reference has its own gradient: no claim holds by chance."""
    claim = Claim("local_autograd", ("network.hidden=[6,5]", "network.recurrence=all_to_all"))
    parts, batch = parts_of("local", claim)
    for name in NAMES:  # each brings what its own reference looks at
        made("rule", name).begin(parts.network, torch.Generator().manual_seed(1))
    ways = [
        way
        for reference, way in REFERENCES.items()
        if reference not in ("score_function", "event_adjoint")  # of spikes by chance, and of neurons with a current
    ]
    first = [way(parts.network, batch, parts.objective)["layers.0.weight"] for way in ways]
    for place, one in enumerate(first):
        assert all((one - other).abs().max() > 1e-3 * one.abs().max() for other in first[:place])


@pytest.mark.parametrize(
    "words", [(name,) for name in NAMES if name not in (*WHOLE, *STEPWISE)] + [("eprop", "unrolled")]
)
def test_no_gradient_of_the_whole_network_is_taken(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: the same bytes where the pass through the whole network raises, of rules that do without it."""
    name, *form = words
    changes = {"rule.form": form[0]} if form else {}
    parts, batch = parts_of(name, rule_class(name).exact_reference, **changes)
    expected = gradients(parts, batch)
    monkeypatch.setattr(Chain, "unroll", lambda *_, **__: pytest.fail("the whole network ran under autograd"))
    for weight, slope in gradients(parts, batch).items():
        assert torch.equal(slope, expected[weight]), weight  # type: ignore[arg-type]


@pytest.mark.one_in(8)
@every
def test_it_is_deterministic_and_remembers_nothing(name: str) -> None:
    """Expected: the same bytes again, after another batch, and of a run built anew from the same seed."""
    claim = rule_class(name).exact_reference
    parts, batch = parts_of(name, claim)
    draws = torch.get_rng_state()
    first = gradients(parts, batch)
    gradients(parts, batch._replace(x=1 - batch.x))
    again = gradients(parts, batch)
    anew = gradients(*parts_of(name, claim))
    assert torch.equal(torch.get_rng_state(), draws)
    for weight, slope in first.items():
        for other in (again[weight], anew[weight]):
            assert (slope is None and other is None) or torch.equal(slope, other), weight


@pytest.mark.one_in(5)
@every
def test_it_adds_to_gradients_and_moves_no_weight(name: str) -> None:
    """Expected: what was in `.grad` plus the gradient; weights and buffers keep their bytes."""
    parts, batch = parts_of(name, rule_class(name).exact_reference)
    before = {key: value.clone() for key, value in parts.network.state_dict().items()}
    alone = {weight: slope for weight, slope in gradients(parts, batch).items() if slope is not None}
    for weight in parts.network.parameters():
        weight.grad = torch.full_like(weight, 3.0)
    seeded(parts.network)
    for _ in parts.rule.gradients(parts.network, batch, parts.objective):
        pass
    for key, weight in parts.network.named_parameters():
        expected = 3.0 + alone.get(key, torch.zeros_like(weight))
        torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(value, before[key]) for key, value in parts.network.state_dict().items())


@pytest.mark.one_in(10)
@every
def test_it_yields_the_loss_and_the_last_states(name: str) -> None:
    """Expected: shares without gradient that add up to the objective of a plain pass; finite states of layers."""
    parts, batch = parts_of(name, rule_class(name).exact_reference)
    seeded(parts.network)
    told = list(parts.rule.gradients(parts.network, batch, parts.objective))
    seeded(parts.network)
    with torch.no_grad():
        trajectory = parts.network.unroll(batch.x, batch.lengths, keep=parts.objective.keep)
        expected = parts.objective.whole(trajectory, batch.target)
    assert not any(progress.loss.requires_grad for progress in told)
    total = torch.stack([progress.loss for progress in told]).sum()
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    for layer, state in zip(parts.network.layers, told[-1].trajectory.state, strict=True):
        assert layer.neuron.centred(state).isfinite().all()


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "reinforce"])  # which draws by place
def test_order_and_padding_of_samples_do_not_matter(name: str) -> None:
    """Expected: equal gradients of a turned batch, and of one with other input behind each sample's end."""
    parts, batch = parts_of(name, rule_class(name).exact_reference)
    turned = Batch(batch.x.flip(1), batch.target.flip(0), batch.lengths.flip(0), batch.position)
    behind = torch.arange(len(batch.x))[:, None] >= batch.lengths
    padded = batch._replace(x=torch.where(behind[..., None], 1 - batch.x, batch.x))
    assert not torch.equal(padded.x, batch.x)
    found = gradients(parts, batch)
    for other in (gradients(parts, turned), gradients(parts, padded)):
        for weight, slope in found.items():
            assert (slope is None) == (other[weight] is None)
            if slope is not None:
                torch.testing.assert_close(other[weight], slope, rtol=1e-10, atol=1e-12)


@pytest.mark.one_in(8)
@every
def test_samples_without_a_spike(name: str) -> None:
    """Must match: the reference, of a batch with one silent sample and of one without any spike, to 1e-11.

    Hidden layers fire nothing in the second, and so do in the first from that sample's start.
    """
    claim = rule_class(name).exact_reference
    parts, batch = parts_of(name, claim, **{"network.bias": False})
    for x in (torch.cat([torch.zeros_like(batch.x[:, :1]), batch.x[:, 1:]], 1), torch.zeros_like(batch.x)):
        given = batch._replace(x=x)
        found = gradients(parts, given)
        seeded(parts.network)
        expected = REFERENCES[claim.reference](parts.network, given, parts.objective)
        for weight in claimed(claim, parts):
            slope = torch.zeros_like(expected[weight]) if found[weight] is None else found[weight]
            torch.testing.assert_close(slope, expected[weight], rtol=1e-11, atol=1e-14)


SHAPES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "normalised over time": ({"normalisation": "tdbn"}, {}),
    "normalised in each step": ({"normalisation": "bntt"}, {}),
    "a mask shared over time": ({"dropout": "shared_mask"}, {}),
    "a learnt decay": ({}, {"neuron.learn_beta": "shared"}),
    "a learnt decay of the readout": ({}, {"readout.learn_beta": "shared"}),
    "a learnt slope": ({"steepness": "learned"}, {}),
    "a slope by chance": ({"surrogate": "stochastic_backward"}, {}),
    "several currents": ({"neuron": "sgru"}, {}),
    "all steps at once": ({"neuron": "psn"}, {}),
}
"""What a layer may be beside weights and neurons with a step."""


@pytest.mark.one_in(10)
@pytest.mark.parametrize("shape", thinned(SHAPES, 3))
@every
def test_what_shapes_a_layer_is_trained_or_refused(name: str, shape: str) -> None:
    """Expected: a step with finite numbers, or one line with a remedy; following it, a step with finite numbers."""
    made = shaped(name, shape)
    for _ in range(3):
        try:
            trained(spec_with(*made))
        except InputError as error:
            made = mended(made, remedies(str(error))[0])
        else:
            return
    pytest.fail(f"{name}, {shape}: each remedy led to another refusal")


def shaped(name: str, shape: str) -> Recipe:
    """A run of a rule with the entries that its claim needs, and with a layer of this shape."""
    needed = dict(word.split("=") for word in rule_class(name).exact_reference.overrides if "." not in word)
    row = {"rule": name, "network": "mlp", "neuron": "leaky", "firing": "step", "loss": "per_step"}
    choices, values = recipe(row | {key: needed[key] for key in ("loss", "firing") if key in needed})
    more, numbers = SHAPES[shape]
    return choices | more, values | numbers
