"""The flow of the gradient and the activity of layers, against mathematics and counts by hand."""

from __future__ import annotations

import math

import pytest
import torch

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.advice import DETACHED
from sgbench.diagnosis.flow import flow, signal_to_noise, step_jacobian, weights_gradient
from sgbench.diagnosis.panels import diagnose_network
from sgbench.diagnosis.text import diagnosis_text
from sgbench.diagnosis.traces import trace
from sgbench.errors import InputError, NonFiniteError
from sgbench.records.diagnosis import Diagnosis
from tests.diagnosis.made import Sum, batch, fast_sigmoid, network, objective, rectangle, sigmoid, zero
from tests.messages import missing
from tests.networks.sequence_parts import delayed


def diagnosed(net, batches, goal, **options) -> Diagnosis:  # type: ignore[no-untyped-def]
    """The panels of flow and activity."""
    options = {"panels": ("flow", "activity"), "generator": torch.Generator().manual_seed(0), **options}
    return diagnose_network(net, None, batches, goal, **options)


def test_a_linear_chain_decays_by_ln_beta_a_step() -> None:
    """Mathematics: dL/dI[t] of a leaky integrator whose last potential is the loss is beta^(T-1-t)."""
    found = diagnosed(network([3, 2], sigmoid), [batch(20, 4, 3, 2)], objective(Sum(slice(-1, None))))
    (layer,) = found.layers
    assert layer.log_slope_per_step == pytest.approx(math.log(0.9), abs=1e-12)
    # 1/4 of each of 4 samples and 2 outputs: the root of 8 / 16, once for the last step.
    assert layer.grad_norm_by_step is not None
    assert layer.grad_norm_by_step[-1] == pytest.approx(math.sqrt(0.5), abs=1e-12)
    assert (layer.jacobian_norm, layer.jacobian_radius) == pytest.approx((0.9, 0.9))


def test_the_gradient_of_currents_is_that_of_the_weights() -> None:
    """Mathematics: dL/dW = sum over steps and samples of dL/dI times the input; W is a leaf of autograd."""
    net, given = network([5, 4, 2], fast_sigmoid, recurrence="all_to_all", gain=2.0), batch(8, 3, 5, 2)
    traced = trace(net, given, objective())
    slope = traced.layers[0].gradient()
    assert slope is not None
    expected = torch.einsum("tbn,tbi->ni", slope, given.x)
    assert torch.allclose(traced.network.layers[0].weight.grad, expected, rtol=1e-12, atol=1e-15)  # type: ignore[union-attr]
    assert weights_gradient(traced.network.layers[0]).abs().sum() > 0
    assert all(weight.grad is None for weight in net.parameters())


def test_flow_of_two_batches_is_the_root_of_the_mean_square() -> None:
    """Hand count: the same batch twice has the norm of one; shares do not change."""
    net, given, goal = network([5, 4, 2], fast_sigmoid, gain=2.0), batch(8, 3, 5, 2), objective()
    one, two = (trace(net, given, goal).layers[0] for _ in range(2))
    alone, _ = flow([one], [given.lengths])
    both, _ = flow([one, two], [given.lengths, given.lengths])
    assert both.pop("grad_norm_by_step") == pytest.approx(alone.pop("grad_norm_by_step"))
    assert both == pytest.approx(alone)


def test_jacobian_is_beta_where_the_surrogate_is_zero() -> None:
    """Mathematics: J = beta I + V diag(psi), and psi = 0."""
    found = diagnosed(network([5, 4, 2], zero, recurrence="all_to_all", gain=2.0), [batch(8, 3, 5, 2)], objective())
    assert (found.layers[0].jacobian_norm, found.layers[0].jacobian_radius) == pytest.approx((0.9, 0.9))


def test_jacobian_of_a_recurrent_layer_is_its_formula() -> None:
    """Mathematics: J = beta I + V diag(psi(u[t-1])) written out, and cut recurrence leaves beta I."""
    net, given = network([5, 4, 2], fast_sigmoid, recurrence="all_to_all", gain=2.0), batch(8, 3, 5, 2)
    traced = trace(net, given, objective())
    seen = traced.layers[0]
    layer = traced.network.layers[0]
    for step, sample in ((1, 0), (5, 2)):
        found = step_jacobian(layer, seen.currents[step], seen.states[step], ["u"], sample)
        psi = 1 / (1 + 5 * (seen.states[step].u[sample] - 1).abs()) ** 2
        expected = 0.9 * torch.eye(4, dtype=torch.float64) + layer.recurrent.detach() * psi.detach()  # type: ignore[union-attr, operator]
        assert torch.allclose(found, expected, atol=1e-12)
    cut = network([5, 4, 2], fast_sigmoid, recurrence="all_to_all", gain=2.0, cut=True)
    assert diagnosed(cut, [given], objective()).layers[0].jacobian_norm == pytest.approx(0.9)


def test_delayed_recurrence_has_no_jacobian_of_one_step() -> None:
    """Must differ: a reason where recurrent synapses delay. Must match: all else, and numbers where they do not."""
    given = batch(8, 3, 4, 2)
    late, prompt = (diagnosed(delayed(recurrent_delays=late), [given], objective()).layers[0] for late in (True, False))
    assert (late.jacobian_norm, late.jacobian_radius) == (None, None)
    assert missing(late.reasons["jacobian_norm"], "recurrent", "delay") == []
    assert prompt.jacobian_norm is not None
    assert late.grad_norm_by_step is not None


def test_silent_neurons_are_dead_to_a_compact_surrogate_alone() -> None:
    """Hand count: without input all potentials are 0, one threshold away, beyond a rectangle of width 0.5."""
    silent = batch(6, 3, 5, 2, rate=0.0)
    compact, tailed = (
        diagnosed(network([5, 4, 2], make), [silent], objective()).layers[0] for make in (rectangle, fast_sigmoid)
    )
    assert (compact.gradient_dead_fraction, tailed.gradient_dead_fraction) == (1.0, 0.0)
    assert (compact.in_window_fraction, tailed.in_window_fraction) == (0.0, 1.0)  # 1/36 is above 1/100
    assert (compact.dead_fraction, compact.rate_per_step, compact.nonzero_parameters) == (1.0, 0.0, 0.0)
    assert (compact.nonzero_points, tailed.nonzero_points) == (0.0, 1.0)


def test_saturated_neurons_and_steps_behind_the_end_are_counted_by_hand() -> None:
    """Hand count: an input of 1 through a weight of 2.5 makes every step a spike; padding is left out."""
    net = network([1, 1, 1], sigmoid)
    with torch.no_grad():
        net.layers[0].weight.fill_(2.5)  # type: ignore[union-attr, operator]
    x = torch.ones(6, 2, 1, dtype=torch.float64)
    x[3:, 1] = 0
    given = Batch(x, torch.zeros(2, 6, 1, dtype=torch.float64), torch.tensor([6, 3]), torch.arange(2))
    layer = diagnosed(net, [given], objective()).layers[0]
    assert (layer.rate_per_step, layer.saturated_fraction, layer.dead_fraction) == (1.0, 1.0, 0.0)


def test_signal_to_noise() -> None:
    """Hand count: means and variances of two vectors; equal ones are infinite, one has no scatter."""
    first, second = torch.tensor([1.0, 2.0]).double(), torch.tensor([3.0, 2.0]).double()
    assert signal_to_noise([first, second])[0] == pytest.approx(8 / 2)
    ratio, reason = signal_to_noise([first, first])
    assert ratio is None
    assert missing(reason, "infinite", "gradient") == []
    assert "at least two" in signal_to_noise([first])[1]
    net, given = network([5, 4, 2], fast_sigmoid, gain=2.0), batch(8, 1, 5, 2)
    assert "infinite" in diagnosed(net, [given, given], objective()).layers[0].reasons["signal_to_noise"]


def test_depth_is_fitted_from_the_readout_back() -> None:
    """Mathematics: with layers of one neuron, weights w and slope 1, each layer back multiplies dL/dI by w."""
    from sgbench.surrogates.constant import Constant

    net = network([1, 1, 1, 1, 1], lambda: Constant(normalisation="peak1", scale=1.0))
    with torch.no_grad():
        for layer in net.layers:
            layer.weight.fill_(0.5)  # type: ignore[union-attr, operator]
    found = diagnosed(net, [batch(1, 2, 1, 1)], objective(Sum()))
    assert found.log_slope_per_layer == pytest.approx(math.log(0.5))


def test_what_cannot_be_told_has_a_reason() -> None:
    """One step, one sample, silence: null with a reason; nothing of it raises."""
    one = diagnosed(network([5, 4, 2], rectangle), [batch(1, 1, 5, 2, rate=0.0)], objective())
    reasons = one.layers[0].reasons
    assert set(reasons) >= {"log_slope_per_step", "jacobian_radius", "signal_to_noise"}
    assert missing(reasons["jacobian_radius"], "one", "step") == []
    assert "one mini-batch" in reasons["signal_to_noise"]
    assert one.layers[-1].in_window_fraction is None
    assert missing(one.layers[-1].reasons["in_window_fraction"], "fire") == []
    assert one.outlook == "dead"


def test_bad_weights_and_panels_are_refused_by_name() -> None:
    """One line with the layer, and one with the panels that there are."""
    net, given = network([5, 4, 2], fast_sigmoid), batch(4, 2, 5, 2)
    with pytest.raises(InputError) as refused:
        diagnosed(net, [given], objective(), panels=("flo",))
    assert missing(refused.value, "'flo'", "agreement", "flow", "activity") == []
    with pytest.raises(InputError, match="no samples"):
        diagnosed(net, [], objective())
    loud = network([5, 4, 2], fast_sigmoid, gain=5.0)
    assert diagnosed(loud, [given], objective(), panels=("activity",)).advice == ()  # no gradient was asked for
    with torch.no_grad():
        net.layers[0].weight[0, 0] = math.nan  # type: ignore[union-attr, operator, index]
    with pytest.raises(NonFiniteError) as stopped:
        diagnosed(net, [given], objective())
    assert missing(stopped.value, "'hidden0'", "'weight'") == []


def test_nothing_of_the_network_changes() -> None:
    """Weights, gradients, noise and engine are as they were, and the same diagnosis comes again."""
    from sgbench.firing.bernoulli import Bernoulli

    net, given = network([5, 4, 2], sigmoid, gain=2.0), [batch(6, 3, 5, 2)]
    for layer in net.layers[:1]:
        Bernoulli().begin(layer.neuron.surrogate)  # type: ignore[arg-type]
    net.engine = Engine("auto")
    before = net.layers[0].neuron.surrogate.noise_state.clone()  # type: ignore[union-attr, operator]
    first, second = (diagnosed(net, given, objective(), panels=("agreement", "flow", "activity")) for _ in range(2))
    assert first == second
    assert torch.equal(net.layers[0].neuron.surrogate.noise_state, before)  # type: ignore[union-attr]
    assert net.engine.requested == "auto"
    assert all(weight.grad is None for weight in net.parameters())
    relaxed = [line for line in first.agreements or () if line.reference == "relaxed"]
    assert relaxed[0].cosine is None
    assert missing(relaxed[0].reasons["cosine"], "Bernoulli") == []


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("sizes", "given", "reasons"),
    [
        ([5, 4, 2], batch(6, 3, 5, 2, rate=0.0), {"log_slope_per_step": "fewer than two steps have a gradient"}),
        ([5, 4, 2], batch(6, 1, 5, 2), {"signal_to_noise": "one mini-batch has no scatter"}),
        ([5, 4, 2], batch(1, 3, 5, 2), {"jacobian_norm": "there is one time step"}),
        ([5, 2], batch(6, 3, 5, 2), {"in_window_fraction": "the neurons of this layer do not fire"}),
    ],
    ids=["silent", "one sample", "one step", "no surrogate"],
)
def test_every_panel_survives(sizes: list[int], given: Batch, reasons: dict[str, str]) -> None:
    """Nothing raises; what cannot be told has its reason, and the text for people is written."""
    panels = ("agreement", "flow", "activity")
    found = diagnosed(network(sizes, rectangle, gain=2.0), [given], objective(), panels=panels)
    for name, said in reasons.items():
        assert found.layers[0].reasons[name].startswith(said)
    assert f"outlook: {found.outlook}" in diagnosis_text(found)
    tables = [line for line in diagnosis_text(found, 80).splitlines() if "  " in line]
    assert max(map(len, tables)) <= 80 < max(map(len, diagnosis_text(found).splitlines()))
    assert "dead" in tables[0]
    assert Diagnosis.model_validate_json(found.model_dump_json()) == found


def test_without_recurrence_the_radius_is_that_of_the_decay_and_no_spike_passes_the_gradient_back() -> None:
    """Mathematics: J = beta I; steps that pass the gradient are 0 there, 0 where it is cut, and slope 1 else: T."""
    from sgbench.surrogates.constant import Constant

    given, passing = [batch(6, 3, 5, 2)], []
    for options in ({}, {"recurrence": "all_to_all"}, {"recurrence": "all_to_all", "cut": True}):
        net = network([5, 4, 2], lambda: Constant(normalisation="peak1", scale=1.0), gain=0.5, **options)  # type: ignore[arg-type]
        passing.append(diagnosed(net, given, objective()).layers[0])
    assert (passing[0].jacobian_norm, passing[0].jacobian_radius) == pytest.approx((0.9, 0.9))
    assert [layer.passing_steps for layer in passing] == [0.0, 6.0, 0.0]
    long = diagnosed(
        network([5, 4, 2], lambda: Constant(normalisation="peak1", scale=1.0), recurrence="all_to_all", gain=0.5),
        [batch(25, 3, 5, 2)],
        objective(),
    )
    assert long.outlook == "explodes"
    assert any(missing(line, "25", "1") == [] for line in long.advice)


@pytest.mark.parametrize("steps", [20, 22, 23])
def test_a_forecast_and_a_level_of_passing_steps_share_their_border(steps: int) -> None:
    """Hand count: slope 1 at each step makes as many passing steps; up to 22 nothing explodes or fails."""
    from sgbench.surrogates.constant import Constant

    net = network([5, 4, 2], lambda: Constant(normalisation="peak1", scale=1.0), recurrence="all_to_all", gain=0.5)
    found = diagnosed(net, [batch(steps, 3, 5, 2)], objective())
    assert found.layers[0].passing_steps == steps
    assert (found.outlook == "explodes") == (DETACHED.level(steps) == "fails") == (steps > 22)


@pytest.mark.parametrize(("gain", "attached"), [(0.5, "fine"), (40.0, "explodes")])
def test_with_the_reset_attached_growth_tells_and_passing_steps_do_not(gain: float, attached: str) -> None:
    """Hand count: slope 1 makes 25 passing steps either way; recurrent weights alone let the gradient grow.

    Must differ: with the reset detached these steps are above the border, whatever the weights.
    """
    from sgbench.surrogates.constant import Constant

    found = {
        gradient: diagnosed(
            network(
                [5, 4, 2],
                lambda: Constant(normalisation="peak1", scale=1.0),
                recurrence="all_to_all",
                gain=gain,
                reset_gradient=gradient,
            ),
            [batch(25, 3, 5, 2)],
            objective(),
        )
        for gradient in ("attached", "detached")
    }
    assert [one.layers[0].passing_steps for one in found.values()] == [25, 25]
    assert {gradient: one.outlook for gradient, one in found.items()} == {"attached": attached, "detached": "explodes"}
    assert not [line for line in found["attached"].advice if "steps of slope 1" in line]
    grows = [line for line in found["attached"].advice if "times a step back in time" in line]
    assert bool(grows) == (attached == "explodes")


def test_a_gradient_below_rounding_is_none_however_many_points_have_it() -> None:
    """Hand count: layers of one neuron, weights w and slope 1 pass w^3 back: 1e-9 of the readout's, or 1e-6."""
    from sgbench.surrogates.constant import Constant

    told = []
    for weight in (1e-3, 1e-2):
        net = network([1, 1, 1, 1, 1], lambda: Constant(normalisation="peak1", scale=1.0))
        with torch.no_grad():
            for layer in net.layers:
                layer.weight.fill_(weight)  # type: ignore[union-attr, operator]
        told.append(diagnosed(net, [batch(1, 2, 1, 1)], objective(Sum())))
    dead, fine = told
    assert dead.layers[0].nonzero_points == fine.layers[0].nonzero_points == 1.0
    assert (dead.outlook, fine.outlook) == ("dead", "fine")
    assert missing(dead.advice[0], "1e-09") == []
