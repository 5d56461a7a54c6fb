"""Surrogates that are no elementwise step: noise, batches, several spikes, graded ones; functions of one's own."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import snntorch as snn
import snntorch.surrogate
import torch

import sgbench
from fastspiking import scan
from fastspiking.signals.streams import generator
from sgbench.errors import InputError
from sgbench.yours.entry_check import measured_fwhm
from tests.catalogue.shapes import make
from tests.messages import raises_naming
from tests.run.tiny import WORDS

U = torch.linspace(-3, 3, 1201, dtype=torch.float64)


def refusal(surrogate):
    """Why `scan` does not take a layer with it."""
    layer = type("L", (), {"neuron": sgbench.create("neuron/leaky", surrogate=surrogate)})()
    layer.recurrence = "none"
    return scan.refusal(layer, torch.device("cpu"))


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stochastic_backward", "random numbers"),
        ("batch_normalised", "not elementwise"),
        pytest.param("mpd_agl", "not elementwise", marks=pytest.mark.slow),
        pytest.param("a2sg", "not elementwise", marks=pytest.mark.slow),
        ("multilevel", "not those of a step"),
        pytest.param("multi_spike", "not those of a step", marks=pytest.mark.slow),
        pytest.param("graded", "not those of a step", marks=pytest.mark.slow),
    ],
)
def test_runs_on_the_reference_alone_and_trains(name, reason):
    """Expected: the reason from `scan`, and a finished run on `reference`."""
    assert reason in refusal(make(name))
    record = sgbench.run(*WORDS, f"surrogate={name}", "init.gain=4")
    assert record.status == "finished", record.failure
    assert "reference" in record.provenance.engine


# --- noise


def test_noise_below_threshold_has_the_declared_moments():
    """Expected, U uniform: mean mu sigma^2 and variance sigma^4 / 12, within 5 standard errors; exactly 1 above."""
    surrogate = make("stochastic_backward", mean=0.3, variance=0.4, normalisation="raw")
    surrogate.generator = generator(1, "noise")
    slopes = surrogate.derivative(torch.full((200_000,), -0.5, dtype=torch.float64))
    deviation = 0.4 / 12**0.5
    assert abs(slopes.mean().item() - 0.12) < 5 * deviation / 200_000**0.5
    assert slopes.std().item() == pytest.approx(deviation, rel=0.01)
    assert (surrogate.derivative(U[U > 0]) == 1).all()


def test_noise_spans_what_snntorchs_spans():
    """Expected: the range of snnTorch 1.0's SSO over many draws, to a thousandth; must differ from call to call."""
    torch.manual_seed(0)
    u = torch.full((100_000,), -0.5, requires_grad=True)
    snntorch.surrogate.SSO(mean=0, variance=0.2)(u).sum().backward()
    surrogate = make("stochastic_backward", mean=0.0, variance=0.2, normalisation="raw")
    ours = surrogate.derivative(u.detach())
    assert ours.min().item() == pytest.approx(u.grad.min().item(), abs=1e-3)
    assert ours.max().item() == pytest.approx(u.grad.max().item(), abs=1e-3)
    assert not torch.equal(ours, surrogate.derivative(u.detach()))


# --- batches


def test_a_normalised_gradient_by_hand():
    """By hand: through = upstream / (1 + k|u|)^2, over xi + the norm of its batch mean; samples see each other."""
    surrogate = make("batch_normalised", slope=2.0, epsilon=0.5)
    u = torch.tensor([[0.0, 0.5], [-0.5, 0.0]], dtype=torch.float64, requires_grad=True)
    upstream = torch.tensor([[1.0, 4.0], [8.0, 2.0]], dtype=torch.float64)
    surrogate(u).backward(upstream)
    through = torch.tensor([[1.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
    norm = (1.5**2 + 1.5**2) ** 0.5
    torch.testing.assert_close(u.grad, through / (0.5 + norm))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_a_normalised_gradient_is_no_slope():
    """Expected: refused in forward mode and for a steepness that learns, each with a remedy."""
    surrogate = make("batch_normalised")
    u = torch.ones(3, 2)
    with raises_naming(InputError, "forward mode", "backward"):
        torch.func.jvp(surrogate, (u,), (u,))
    with raises_naming(InputError, "batch", "steepness=fixed"):
        surrogate.learn_stretch()


@pytest.mark.parametrize(("beta", "offset"), [(1.0, 0.5), (0.3, 0.8), (2.0, 3.0)])
def test_a_rising_window_is_that_of_the_paper(beta, offset):
    """Expected: A2SG's asymmetric function, restated with numpy; its width by where it is half of its peak."""
    surrogate = make("rising_window", half_width=beta, offset=offset, normalisation="raw")
    u = np.linspace(-2.5, 2.5, 4001)
    expected = np.where(np.abs(u) <= beta, (u + beta) / (2 * beta) + offset - 0.5, 0.0)
    np.testing.assert_allclose(surrogate.derivative(torch.from_numpy(u)).numpy(), expected, rtol=1e-12, atol=1e-15)
    assert measured_fwhm(surrogate) == pytest.approx(surrogate.fwhm, rel=1e-9)
    with pytest.raises(InputError, match=r"surrogate\.offset=0\.4"):
        make("rising_window", offset=0.4)


def standardised(generator_seed: int, *others: torch.Tensor) -> torch.Tensor:
    """Numbers of mean 0 and variance 1 that are uncorrelated with others, all to rounding."""
    numbers = torch.randn(4000, generator=torch.Generator().manual_seed(generator_seed), dtype=torch.float64)
    for other in (torch.ones(4000, dtype=torch.float64), *others):
        numbers = numbers - other * (numbers @ other) / (other @ other)
    return numbers / numbers.square().mean().sqrt()


@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_a_width_that_follows_potentials_is_that_of_the_paper(decay):
    """Expected: MPD-AGL's widths 2 gamma theta and 2 sqrt(1 + tau^2) gamma theta, where its theorem holds exactly.

    Currents as batch normalisation leaves them, potentials of two steps without a reset, as the theorem takes them;
    must differ: the width of the first step at the second one.
    """
    gain, threshold, shift = 1.3, 0.5, 0.1
    first = standardised(1)
    second = standardised(2, first)
    potentials = gain * threshold * first + shift
    for predicted in (2 * gain * threshold, 2 * math.sqrt(1 + decay**2) * gain * threshold):
        u = (potentials - threshold).requires_grad_()
        upstream = torch.linspace(-1, 1, 4000, dtype=torch.float64)
        make("mpd_agl")(u).backward(upstream)
        expected = upstream * (u.detach().abs() < predicted / 2) / predicted
        torch.testing.assert_close(u.grad, expected, rtol=1e-12, atol=0)
        assert (u.grad != upstream * (u.detach().abs() < 1.1 * predicted / 2) / (1.1 * predicted)).any()
        potentials = decay * potentials + gain * threshold * second + shift


def test_a_width_that_follows_potentials_without_any_spread():
    """By hand: the width that was given, where all potentials are alike; peak1 keeps a height of 1."""
    u = torch.full((3, 2), 0.2, dtype=torch.float64, requires_grad=True)
    make("mpd_agl", width=0.5)(u).sum().backward()
    assert (u.grad == 2).all()
    spread = torch.tensor([0.1, -0.1, 3.0, -3.0], dtype=torch.float64, requires_grad=True)
    make("mpd_agl", normalisation="peak1")(spread).sum().backward()
    assert spread.grad.tolist() == [1.0, 1.0, 0.0, 0.0]


def chosen_window(u: np.ndarray, grad: np.ndarray, tried: Sequence[float], behind: np.ndarray | None) -> np.ndarray:
    """A2SG's gradient of one step in numpy: least variation at the last step, else most like the step behind."""
    through = [grad * np.where(np.abs(u) <= beta, u / (2 * beta) + 0.5, 0.0) for beta in tried]
    if behind is None:
        return through[int(np.argmin([np.var(one) / np.mean(np.abs(one)) for one in through]))]
    sizes = [np.linalg.norm(one) * np.linalg.norm(behind) for one in through]
    return through[int(np.argmax([np.sum(one * behind) / size for one, size in zip(through, sizes, strict=True)]))]


def test_a_window_that_follows_gradients_is_that_of_the_paper():
    """Expected: the paper's two measures over a grid of widths, restated with numpy, step by step from the last.

    Must differ: the width of least variation at an earlier step; and a second pass gives what the first gave.
    """
    surrogate = make("a2sg")
    tried = 0.25 * 8.0 ** (np.arange(7) / 6)
    np.testing.assert_allclose(surrogate.half_widths, tried, rtol=1e-12)
    random = np.random.default_rng(5)
    potentials, upstream = random.normal(-0.3, 0.8, (2, 4, 30, 6)), random.normal(0.2, 1.0, (4, 30, 6))
    expected, behind = np.zeros((4, 30, 6)), None
    for step in (3, 2, 1, 0):
        behind = expected[step] = chosen_window(potentials[0, step], upstream[step], tried, behind)
    assert (expected[1] != chosen_window(potentials[0, 1], upstream[1], tried, None)).any()
    for _ in range(2):
        u = torch.from_numpy(potentials[0]).requires_grad_()
        spikes = torch.stack([surrogate(now) for now in u])
        (spikes * torch.from_numpy(upstream)).sum().backward()
        np.testing.assert_allclose(u.grad.numpy(), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("between", ["nothing", "another sequence", "each step alone"])
def test_a_step_behind_is_one_of_the_same_sequence(between):
    """Must match: gradients of one graph, pulled back twice, whatever was pulled back in between.

    Expected too: steps that are pulled back one by one, from the last, give what one whole pass gives.
    """
    surrogate = make("a2sg")
    random = np.random.default_rng(6)
    potentials, upstream = random.normal(-0.3, 0.8, (4, 30, 6)), random.normal(0.2, 1.0, (4, 30, 6))
    u = [torch.from_numpy(now).requires_grad_() for now in potentials]
    spikes = [surrogate(now) for now in u]
    given = [torch.from_numpy(now) for now in upstream]
    first = torch.autograd.grad(spikes, u, given, retain_graph=True)
    if between == "another sequence":
        sequence = torch.from_numpy(potentials[::-1].copy()).requires_grad_()
        torch.stack([surrogate(now) for now in sequence]).sum().backward()
    if between == "each step alone":
        steps = zip(spikes[::-1], u[::-1], given[::-1], strict=True)
        alone = [torch.autograd.grad(*step, retain_graph=True)[0] for step in steps][::-1]
        assert all(map(torch.equal, alone, first))
    again = torch.autograd.grad(spikes, u, given)
    assert all(map(torch.equal, again, first))


def gradients_of_two_layers(surrogates, inputs: Sequence[torch.Tensor], *, pass_reset: bool):
    """Gradients of the weights of two leaky layers, step by step, by the sum of losses of each input sequence."""
    given = torch.Generator().manual_seed(1)
    weights = [torch.randn(8, size, generator=given, dtype=torch.float64) for size in (6, 8)]
    upstream = torch.randn(6, 30, 8, generator=given, dtype=torch.float64)
    weights = [weight.requires_grad_() for weight in weights]
    loss = torch.zeros((), dtype=torch.float64)
    for sequence in inputs:
        potentials = [torch.zeros(30, 8, dtype=torch.float64)] * 2
        for spikes, grad in zip(sequence, upstream, strict=True):
            for place, (weight, surrogate) in enumerate(zip(weights, surrogates, strict=True)):
                potential = 0.9 * potentials[place] + spikes @ weight.T
                spikes = surrogate(potential - 1)  # noqa: PLW2901
                potentials[place] = potential - (spikes if pass_reset else spikes.detach())
            loss = loss + (spikes * grad).sum()
    return torch.autograd.grad(loss, weights)


@pytest.mark.parametrize("pass_reset", [False, True])
def test_a_step_behind_is_one_of_the_same_layer(pass_reset):
    """Must match: two sequences in one loss and the sum of each alone; one object in two layers and one in each."""
    sequences = torch.randn(2, 6, 30, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    options = {"narrowest": 1.0, "widest": 4.0}
    alone = [
        gradients_of_two_layers([make("a2sg", **options), make("a2sg", **options)], [x], pass_reset=pass_reset)
        for x in sequences
    ]
    expected = [first + second for first, second in zip(*alone, strict=True)]
    shared = make("a2sg", **options)
    for surrogates in ([make("a2sg", **options), make("a2sg", **options)], [shared, shared]):
        both = gradients_of_two_layers(surrogates, sequences, pass_reset=pass_reset)
        for ours, by_hand in zip(both, expected, strict=True):
            torch.testing.assert_close(ours, by_hand, rtol=1e-10, atol=1e-10)


def test_a_window_in_snntorch_follows_the_step_behind():
    """Expected: the paper's rule in numpy, though snnTorch calls a surrogate twice in a step, for its reset."""
    surrogate = make("a2sg", narrowest=1.0, widest=4.0)
    given = torch.Generator().manual_seed(4)
    current, upstream = torch.randn(2, 6, 30, 8, dtype=torch.float64, generator=given)
    current.requires_grad_()
    neuron, potential = snn.Leaky(beta=0.5, spike_grad=surrogate), torch.zeros(30, 8, dtype=torch.float64)
    potentials, loss = [], torch.zeros((), dtype=torch.float64)
    for now, grad in zip(current, upstream, strict=True):
        spikes, potential = neuron(now, potential)
        potentials.append((potential - 1).detach().numpy())
        loss = loss + (spikes * grad).sum()
    snn.SpikingNeuron.instances.clear()
    (ours,) = torch.autograd.grad(loss, current)
    behind, through = None, np.zeros((30, 8))
    for step in reversed(range(6)):
        behind = chosen_window(potentials[step], upstream[step].numpy(), surrogate.half_widths, behind)
        through = behind + 0.5 * through
        np.testing.assert_allclose(ours[step].numpy(), through, rtol=1e-9, atol=1e-12)


def test_a_window_that_follows_gradients_where_there_are_none():
    """By hand: no gradient where no width catches a potential; a step behind without one chooses by variation."""
    surrogate = make("a2sg", narrowest=0.5, widest=1.0, candidates=2)
    early, late = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.4, 0.8], [7.0, 8.0]))
    (surrogate(early).sum() + surrogate(late).sum()).backward()
    assert late.grad.tolist() == [0.0, 0.0]
    assert early.grad.tolist() == pytest.approx([0.7, 0.9])
    with pytest.raises(InputError, match=r"surrogate\.narrowest=3"):
        make("a2sg", narrowest=3.0)


# --- several spikes, graded ones


def test_levels_by_hand():
    """By hand: v = u + 1 in thresholds, rounded half to even, cut to 3."""
    surrogate = make("multilevel", levels=3)
    u = torch.tensor([-2.0, -0.51, -0.49, 0.4, 0.6, 1.7, 9.0])
    assert surrogate(u).tolist() == [0, 0, 1, 1, 2, 3, 3]


def test_several_spikes_by_hand():
    """By hand: one at u > 0, one more at each whole threshold, at most `levels`; slope 1 at 0, 1, 2, ..."""
    surrogate = make("multi_spike", levels=3, slope=10.0)
    assert surrogate(torch.tensor([-0.4, 0.1, 0.9, 1.1, 2.4, 7.0])).tolist() == [0, 1, 1, 2, 3, 3]
    assert surrogate.derivative(torch.arange(0.0, 5)).tolist() == [1] * 5
    assert surrogate.derivative(torch.tensor([-1.0])).item() == pytest.approx(1 / 121)


def test_graded_spikes_carry_the_potential():
    """By hand: v = u + theta above threshold, nothing below."""
    surrogate = make("graded", threshold=0.5)
    assert surrogate(torch.tensor([-0.5, 0.0, 0.25, 2.0])).tolist() == [0, 0, 0.75, 2.5]


# --- a function of one's own


def test_a_custom_surrogate_is_the_function():
    """Expected: snnTorch's own fast sigmoid, spikes and gradient, as `spike_grad` of its neuron."""
    ours = sgbench.CustomSurrogate(lambda u: 1 / (1 + 25 * u.abs()) ** 2)
    results = []
    for spike_grad in (ours, snntorch.surrogate.fast_sigmoid(slope=25)):
        torch.manual_seed(0)
        current = torch.rand(20, 5, requires_grad=True)
        neuron, potential = snn.Leaky(beta=0.9, spike_grad=spike_grad), torch.zeros(5)
        total = torch.zeros(())
        for now in current:
            spikes, potential = neuron(now, potential)
            total = total + spikes.sum()
        total.backward()
        results.append((total.item(), current.grad))
    snn.SpikingNeuron.instances.clear()
    assert results[0][0] == results[1][0] > 0
    torch.testing.assert_close(results[0][1], results[1][1])


def test_a_custom_surrogate_learns_with_a_primitive_alone():
    """Must differ: with a primitive its steepness learns, without one that is refused."""
    with pytest.raises(InputError, match="has no primitive"):
        sgbench.CustomSurrogate(torch.ones_like).learn_stretch()
    surrogate = sgbench.CustomSurrogate(torch.ones_like, lambda u: u)
    surrogate.learn_stretch()
    surrogate(torch.tensor([1.0])).sum().backward()
    assert surrogate.log_stretch.grad is not None


@pytest.mark.parametrize("given", [None, 1.0, "atan"])
def test_what_is_no_function_is_refused(given):
    with pytest.raises(InputError, match="needs a function"):
        sgbench.CustomSurrogate(given)
