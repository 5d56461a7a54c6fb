"""Agreement with references, against figures of an independent program and against mathematics."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fastspiking.choose import Engine
from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.agreement import (
    LossAt,
    agreement,
    agreements,
    bptt_gradients,
    compare,
    missing,
    probe,
    rule_gradients,
)
from sgbench.diagnosis.enumeration import expected_gradients
from sgbench.diagnosis.panels import diagnose_network
from sgbench.diagnosis.relaxed import relaxed
from sgbench.diagnosis.score_function import estimated_gradients, exact
from sgbench.diagnosis.text import diagnosis_text
from sgbench.errors import InputError
from sgbench.networks.base import Chain, DenseLayer
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.records.diagnosis import Diagnosis
from sgbench.rules.bptt import Bptt
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.constant import Constant
from tests.diagnosis.made import Sum, batch, fast_sigmoid, network, objective, sigmoid
from tests.messages import raises_naming
from tests.thinned import thinned_rows


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("make", "noise", "cosine"),
    thinned_rows(
        [
            (functools.partial(sigmoid, 1.0), 2.0, 0.950),
            (functools.partial(sigmoid, 5.0), 2.0, 0.814),
            (functools.partial(sigmoid, 25.0), 2.0, 0.207),
            (functools.partial(sigmoid, 1.0), 5.0, 0.848),
            (functools.partial(sigmoid, 5.0), 5.0, 0.929),
            (functools.partial(sigmoid, 25.0), 5.0, 0.665),
            (functools.partial(fast_sigmoid, 1.0), 2.0, 0.966),
        ],
        2,
    ),
)
def test_medians_of_an_independent_enumeration(make: Callable[[], Surrogate], noise: float, cosine: float) -> None:
    """Expected: medians over 20 networks that a program of plain torch, written apart, prints to three digits."""
    assert round(exact(make, noise_slope=noise).cosine, 3) == cosine


@pytest.mark.slow
def test_straight_through_is_far_too_long() -> None:
    """Expected: the same program's figures of a slope of 1 everywhere."""
    found = exact(lambda: Constant(normalisation="peak1", scale=1.0), noise_slope=2.0)
    assert round(found.cosine, 3) == 0.726
    assert round(found.norm_ratio) == 122


def one_unit(surrogate: Surrogate) -> tuple[Chain, Batch]:
    """One output unit over one step."""
    return network([3, 1], lambda: surrogate, spiking_readout=True, gain=2.0), batch(1, 2, 3, 1, rate=0.7)


def test_one_unit_in_one_step_with_a_linear_loss_is_exact() -> None:
    """Mathematics: d sigma(7 u)/du is the surrogate; at a peak of 1 it is 4/7 of that, so the bias is 3/7."""
    raw, peak1 = (
        expected_gradients(*one_unit(sigmoid(7.0, kind)), objective(Sum()), noise_slope=7.0)
        for kind in ("raw", "peak1")
    )
    assert compare(raw.surrogate["readout"], raw.exact["readout"])[0]["relative_bias"] < 1e-12
    assert compare(peak1.surrogate["readout"], peak1.exact["readout"])[0]["relative_bias"] == pytest.approx(3 / 7)


def test_the_exact_gradient_is_that_of_the_expected_loss() -> None:
    """Independent: central differences of the expected loss, summed by hand over the spikes of two steps."""
    net, given = network([3, 1], sigmoid, spiking_readout=True, gain=2.0), batch(2, 1, 3, 1, rate=0.7)
    found = expected_gradients(net, given, objective(), noise_slope=3.0).exact["readout"]

    x = dense(given.x)

    def expected_loss(weight: torch.Tensor) -> float:
        total = 0.0
        for pattern in ((0, 0), (0, 1), (1, 0), (1, 1)):
            u, last, chance, loss = torch.zeros(()), 0, 1.0, 0.0
            for t, spike in enumerate(pattern):
                u = 0.9 * u + weight @ x[t, 0] - last
                fires = torch.sigmoid(3.0 * (u - 1)).item()
                chance *= fires if spike else 1 - fires
                loss += 0.5 * (spike - given.target[0, t, 0].item()) ** 2
                last = spike
            total += chance * loss
        return total

    weight = net.layers[0].weight.detach()[0]  # type: ignore[union-attr, index, operator]
    for place in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[place] = 1e-5
        slope = (expected_loss(weight + step) - expected_loss(weight - step)) / 2e-5
        assert found[place].item() == pytest.approx(slope, abs=1e-8)


def test_too_many_patterns_are_refused_by_number() -> None:
    """Hand count: 8 steps of 4 + 2 neurons are 48."""
    net = network([5, 4, 2], sigmoid, spiking_readout=True)
    with pytest.raises(InputError, match="48 neurons x steps"):
        expected_gradients(net, batch(8, 1, 5, 2), objective(), noise_slope=2.0)


def test_a_soft_network_agrees_with_itself_and_a_spiking_one_does_not() -> None:
    """Mathematics: the gradient of a smooth network is what back-propagation gives: cosine 1, norm ratio 1."""
    net, given = network([5, 6, 2], functools.partial(sigmoid, 3.0), gain=2.0), [batch(8, 3, 5, 2)]
    soft = relaxed(net)
    reference = bptt_gradients(relaxed(soft), given, objective())
    for line in agreements("relaxed", bptt_gradients(soft, given, objective()), reference):
        assert (line.cosine, line.norm_ratio, line.relative_bias) == pytest.approx((1.0, 1.0, 0.0), abs=1e-12)
    hidden, _ = agreements("relaxed", bptt_gradients(net, given, objective()), reference)
    assert hidden.relative_bias is not None
    assert hidden.relative_bias > 0.01


def test_small_differences_of_a_soft_network_are_its_gradient() -> None:
    """Mathematics: central differences over 1e-5 of the weights differ by the square of that."""
    soft, given = relaxed(network([5, 6, 2], functools.partial(sigmoid, 3.0), gain=2.0)), [batch(8, 3, 5, 2)]
    gradients = bptt_gradients(soft, given, objective())
    generator = torch.Generator().manual_seed(0)
    for line in probe(LossAt(soft, given, objective()), gradients, generator, step_size=1e-5):
        assert (line.cosine, line.norm_ratio) == pytest.approx((1.0, 1.0), abs=1e-7)
        assert line.step_size == 1e-5


def windows_network() -> tuple[Chain, Batch]:
    """The recurrent network of current-based neurons whose cosines by window were published with its seed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"dtype": torch.float64}
        x = (torch.rand(30, 3, 6, **options) < 0.35).double()  # type: ignore[arg-type]
        target = torch.randn(30, 3, 3, **options)  # type: ignore[arg-type]
        into, back = torch.randn(8, 6, **options) * 0.9, torch.randn(8, 8, **options) * 0.5  # type: ignore[arg-type]
        out = torch.randn(3, 8, **options) * 0.6  # type: ignore[arg-type]
    neuron = Synaptic(
        fast_sigmoid(),
        alpha=0.7,
        beta=0.85,
        threshold=1.0,
        reset="subtract",
        reset_gradient="detached",
        learn_alpha="none",
        learn_beta="none",
        learn_threshold="none",
    )
    hidden = DenseLayer("hidden0", 6, 8, neuron, recurrence="all_to_all")
    readout = DenseLayer("readout", 8, 3, LeakyReadout(beta=0.9, learn_beta="none"))
    with torch.no_grad():
        hidden.weight.copy_(into)
        hidden.recurrent.copy_(back.fill_diagonal_(0))  # type: ignore[union-attr]
        readout.weight.copy_(out)
    made = Chain()
    made.layers, made.engine = nn.ModuleList([hidden, readout]), Engine("reference")
    return made, Batch(x, target.transpose(0, 1), torch.full((3,), 30), torch.arange(3))


@pytest.mark.parametrize(("window", "cosine"), [(1, 0.79), (2, 0.81), (5, 0.85), (10, 0.94), (15, 0.93), (30, 1.0)])
def test_windows_of_truncated_back_propagation(window: int, cosine: float) -> None:
    """Expected: cosines with full back-propagation that an independent program prints; 1 for a whole sequence."""
    net, given = windows_network()
    full = rule_gradients(net, Bptt(window=None), [given], objective())
    short = rule_gradients(net, Bptt(window=window), [given], objective())
    found, _ = compare(torch.cat(list(short.values())), torch.cat(list(full.values())))
    assert round(found["cosine"], 2) == cosine


def test_drawn_spikes_estimate_what_enumeration_gives() -> None:
    """Expected: the exact gradients of enumeration, up to the scatter of 20,000 draws, .03; four are few."""
    net, given = network([3, 2, 2], fast_sigmoid, gain=2.0), batch(4, 2, 3, 2, rate=0.7)
    wanted = expected_gradients(net, given, objective(), noise_slope=2.0)
    words = {"noise_slope": 2.0, "generator": torch.Generator().manual_seed(0)}
    many = estimated_gradients(net, given, objective(), draws=20_000, **words)
    few = estimated_gradients(net, given, objective(), draws=4, **words)
    for name in wanted.exact:
        assert compare(many.reference(name), wanted.exact[name])[0]["relative_bias"] < 0.1
        assert compare(many.surrogate[name], wanted.surrogate[name])[0]["relative_bias"] < 0.1
    assert (many.self_agreement("hidden0") or 0) > 0.9 > (few.self_agreement("hidden0") or 0)


def test_what_was_not_measured_for_one_reason_is_told_once() -> None:
    """By hand: two references and two layers share a line, a third has its own; only what is known is a row."""
    zero, gradient = torch.zeros(2), torch.tensor([3.0, 4.0])
    lines = [agreement(layer, name, gradient, zero) for name in ("bptt", "relaxed") for layer in ("hidden0", "readout")]
    lines += [agreement("hidden0", "finite_difference", gradient, gradient), missing("enumeration", "too many neurons")]
    names = ("loss", "log_slope_per_layer", "falling_steps", "loop", "line", "outlook")
    found = Diagnosis(
        weights="initial", split=None, samples=1, panels=("agreement",), layers=(), agreements=tuple(lines), advice=(),
        reasons=dict.fromkeys(names, "none"), **dict.fromkeys(names),
    )  # fmt: skip
    text = diagnosis_text(found).splitlines()
    assert "bptt, relaxed of hidden0, readout: the reference is zero" in text
    assert "enumeration: too many neurons" in text
    assert [line.split()[0] for line in text if line.endswith(" 0") or "hidden0  " in line] == ["finite_difference"]


def test_the_panel_names_every_reference_and_why_one_is_missing() -> None:
    """Each reference has a line; one without an area, and one with too many patterns, says so."""
    net, given = network([5, 6, 2], fast_sigmoid, gain=2.0, recurrence="all_to_all"), [batch(8, 3, 5, 2)]
    found = diagnose_network(
        net, Bptt(window=2), given, objective(), generator=torch.Generator().manual_seed(0), panels=("agreement",)
    )
    by_reference = {(line.reference, line.layer): line for line in found.agreements or ()}
    cosine = by_reference["bptt", "hidden0"].cosine
    assert cosine is not None
    assert cosine < 0.999
    assert by_reference["enumeration", "all"].reasons["cosine"].startswith("48 neurons x steps")
    assert by_reference["score_function", "hidden0"].cosine is not None
    assert ("finite_difference", "readout") in by_reference
    assert found.falling_steps is not None
    endless = network([5, 4, 2], lambda: Constant(normalisation="peak1", scale=1.0))
    with raises_naming(InputError, "Constant", "area of inf"):
        relaxed(endless)
