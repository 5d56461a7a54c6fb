"""Neurons that take all steps at once, gated neurons and neurons of several compartments.

Expected values come from literal transcriptions of the papers' equations, differentiated by autograd, from
`torch.nn.LSTMCell` and `GRUCell`, from snnTorch where it is right, and from limits that make one model another.

Legend: T steps, B batch, N neurons; I current, u membrane potential, s spikes, theta threshold.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from sgbench.composition.compose import compose
from sgbench.engine.choose import Engine
from sgbench.errors import InputError
from sgbench.firing.bernoulli import Bernoulli
from sgbench.firing.ternary import Ternary
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.neurons.dh_lif import DhLif
from sgbench.neurons.gru import Sgru, SpikingGru
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.lstm import Slstm, SpikingLstm
from sgbench.neurons.parallel_leaky import ParallelLeaky
from sgbench.neurons.psn import MaskedPsn, Psn, SlidingPsn
from sgbench.neurons.psu import Psu
from sgbench.neurons.tc_lif import TcLif
from sgbench.neurons.three_compartment import ThreeCompartment
from sgbench.surrogates.atan import Atan
from sgbench.training.build import construct
from tests.rules.test_eprop import assert_equals_cut_bptt, make_network

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

STEPS, BATCH, SIZE = 24, 3, 5
RTOL = 1e-12


def surrogate() -> Atan:
    return Atan(alpha=2.0, width_fwhm=None, normalisation="peak1", scale=1.0)


def draw(*shape: int, seed: int = 3, mean: float = 0.0, spread: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return spread * torch.randn(shape, generator=random, dtype=torch.float64) + mean


class Given(DenseLayer):
    """A layer that gets its current as it is; weights among its neurons are drawn."""

    def __init__(self, neuron: Neuron, size: int = SIZE, recurrence: str = "none") -> None:
        super().__init__("hidden0", 1, size, neuron, recurrence=recurrence)
        if self.recurrent is not None:
            self.recurrent.data.copy_(draw(*self.recurrent.shape, seed=9, spread=0.5))

    def synapses(self) -> None:
        return None

    def current(self, x: Tensor) -> Tensor:
        return x


class Run:
    """Spikes, u - theta and gradients of a random linear functional of both."""

    def __init__(self, spikes: Tensor, x: Tensor, leaves: dict[str, Tensor]) -> None:
        self.spikes, self.x = spikes.detach(), x.detach()
        loss = (draw(*spikes.shape, seed=7) * spikes + draw(*x.shape, seed=8) * x).sum()
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        self.gradients = dict(zip(leaves, found, strict=True))


def ours(neuron: Neuron, current: Tensor, *, recurrence: str = "none", engine: str = "reference") -> Run:
    """Through an engine, from rest."""
    layer = Given(neuron.double(), current.shape[-1] // neuron.currents, recurrence)
    leaf = current.clone().requires_grad_()
    (run,) = Engine(engine).unroll([layer], leaf, keep_u=True)
    leaves = {"current": leaf, **dict(neuron.named_parameters())}
    if layer.recurrent is not None:
        leaves["recurrent"] = layer.recurrent
    return Run(run.output, run.u, leaves)


def literal(step: Callable[..., tuple], current: Tensor, state: tuple, leaves: dict[str, Tensor]) -> Run:
    """A step (I, *state) -> (s, u - theta, *state), called once per step under autograd."""
    leaf = current.clone().requires_grad_()
    spikes, x = [], []
    for now in leaf:
        s, u, *state = step(now, *state)
        spikes.append(s)
        x.append(u)
    return Run(torch.stack(spikes), torch.stack(x), {"current": leaf, **leaves})


def assert_same(
    found: Run, expected: Run, names: tuple[str, ...] = ("current",), *, rtol: float = RTOL
) -> None:
    """Spikes equal; potentials and the named gradients within `rtol` of their largest value."""
    assert 0.02 < found.spikes.mean() < 0.95, "the drive must make neurons fire, and not always"
    assert torch.equal(found.spikes, expected.spikes)
    pairs = {"x": (found.x, expected.x)}
    pairs |= {name: (found.gradients[name], expected.gradients[name]) for name in names}
    for name, (one, other) in pairs.items():
        largest = other.abs().max().item()
        assert largest > 0, name
        torch.testing.assert_close(
            one, other, rtol=rtol, atol=rtol * largest, msg=lambda text, n=name: f"{n}: {text}"
        )


# --- parallel spiking neurons


def psn(**changes: object) -> Psn:
    options = {"steps": STEPS, "threshold": 1.0, "beta": 0.8, "start": "leaky"}
    return Psn(surrogate(), torch.Generator().manual_seed(1), **{**options, **changes})


def masked(**changes: object) -> MaskedPsn:
    options = {
        "steps": STEPS,
        "order": 4,
        "mask": [1.0, 1.0],
        "threshold": 1.0,
        "beta": 0.8,
        "start": "leaky",
    }
    return MaskedPsn(surrogate(), torch.Generator().manual_seed(1), **{**options, **changes})


def sliding(**changes: object) -> SlidingPsn:
    options = {"order": 4, "threshold": 1.0, "beta": 0.8, "start": "leaky"}
    return SlidingPsn(surrogate(), torch.Generator().manual_seed(1), **{**options, **changes})


def sums_over_time(
    weight: Callable[[int, int], Tensor], theta: Callable[[int], Tensor], current: Tensor
) -> list:
    """u[t] - theta_t by a double loop over steps, as the paper prints it."""
    return [
        sum(weight(t, k) * current[k] for k in range(len(current))) - theta(t) for t in range(len(current))
    ]


@pytest.mark.parametrize("start", ["leaky", "uniform"])
@pytest.mark.parametrize("kind", ["psn", "masked", "sliding"])
def test_psn_is_the_sum_over_time_of_the_paper(kind, start):
    """Expected: a double loop over steps, gradients by autograd through it."""
    neuron = {"psn": psn, "masked": masked, "sliding": sliding}[kind](start=start)
    with torch.no_grad():
        for each in neuron.parameters():
            each.add_(draw(*each.shape, seed=5, spread=0.2))
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    found = ours(neuron, current)
    weight, theta = (each.detach().clone().requires_grad_() for each in (neuron.weight, neuron.threshold))
    leaf = current.clone().requires_grad_()
    zero = torch.zeros((), dtype=torch.float64)
    if kind == "sliding":
        rows = sums_over_time(lambda t, k: weight[t - k] if 0 <= t - k < 4 else zero, lambda t: theta, leaf)
    else:
        seen = (lambda t, k: True) if kind == "psn" else (lambda t, k: 0 <= t - k < 4)
        rows = sums_over_time(lambda t, k: weight[t, k] if seen(t, k) else zero, lambda t: theta[t], leaf)
    x = torch.stack(rows)
    expected = Run(surrogate()(x), x, {"current": leaf, "weight": weight, "threshold": theta})
    assert_same(found, expected, ("current", "weight", "threshold"))


def test_psn_starts_as_a_leaky_integrator_without_reset():
    """Must match: `Leaky` with reset none, of equal decay; must differ: with a reset."""
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    assert_same(ours(psn(), current), ours(leaky(reset="none"), current))
    assert not torch.equal(ours(psn(), current).spikes, ours(leaky(reset="subtract"), current).spikes)


def test_only_a_full_psn_sees_later_steps():
    """Expected: du[2]/dI[5] is not 0 for a full matrix and for a mask below 1, and 0 for the causal ones."""

    def later(neuron: Neuron) -> float:
        leaf = draw(STEPS, 1, 1).requires_grad_()
        x = neuron.potential(leaf)
        return torch.autograd.grad(x[2].sum(), leaf)[0][5].abs().item()

    assert later(psn(start="uniform")) > 0
    assert later(masked(start="uniform", mask=[0.5, 0.5])) > 0
    assert later(masked(start="uniform")) == later(sliding(start="uniform")) == 0


def test_mask_of_0_is_the_full_psn_and_equal_diagonals_slide():
    """Must match: masked at mask 0 and the full one; masked from the leaky start and sliding from it."""
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    assert_same(
        ours(masked(mask=[0.0, 0.0], start="uniform"), current),
        ours(psn(start="uniform"), current),
        ("weight",),
    )
    assert_same(ours(masked(), current), ours(sliding(), current))


def test_the_mask_closes_in_the_course_of_training():
    """Must match: the full matrix at the first epoch and the masked one at the last; half of each in between."""
    neuron = masked(mask=[0.0, 1.0], start="uniform")
    full, banded = psn(start="uniform").matrix(), masked(start="uniform").matrix()
    for progress, expected in ((0.0, full), (0.5, (full + banded) / 2), (1.0, banded)):
        neuron.advance(progress)
        torch.testing.assert_close(neuron.matrix(), expected, rtol=1e-15, atol=1e-15)
    assert neuron.operations.multiplications == 4
    neuron.advance(0.9)
    assert neuron.operations.multiplications == STEPS


def test_sliding_psn_takes_any_length_and_the_others_their_own():
    """Expected: a shorter sequence gives the beginning of a longer one; a fixed number of steps is named."""
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    whole, part = ours(sliding(), current), ours(sliding(), current[:9])
    assert torch.equal(whole.spikes[:9], part.spikes)
    for neuron in (psn(), masked(), psu()):
        with pytest.raises(InputError, match=r"neuron\.steps=24: .* the sequence has 9; set neuron\.steps"):
            ours(neuron, current[:9])


# --- the parallel leaky neuron


def leaky(**changes: object) -> Leaky:
    options = {
        "beta": 0.8,
        "input_gain": "one",
        "threshold": 1.0,
        "reset": "subtract",
        "reset_gradient": "attached",
    }
    options |= {"learn_beta": "none", "learn_threshold": "none"}
    return Leaky(surrogate(), SIZE, **{**options, **changes})


def parallel(**changes: object) -> ParallelLeaky:
    options = {"beta": 0.8, "threshold": 1.0, "iterations": STEPS - 1, "reset": "subtract"}
    options |= {"reset_gradient": "attached", "learn_beta": "none", "learn_threshold": "none"}
    return ParallelLeaky(surrogate(), SIZE, **{**options, **changes})


@pytest.mark.parametrize("reset", ["subtract", "subtract_decayed"])
@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
@pytest.mark.parametrize("learn", ["none", "shared", "per_neuron"])
def test_enough_iterations_are_the_leaky_neuron(reset, reset_gradient, learn):
    """Must match: `Leaky` in spikes, potentials and all gradients, from T - 1 iterations on."""
    options = {
        "reset": reset,
        "reset_gradient": reset_gradient,
        "learn_beta": learn,
        "learn_threshold": learn,
    }
    current = draw(STEPS, BATCH, SIZE, mean=0.4)
    names = ("current",) if learn == "none" else ("current", "beta.logit", "threshold.logarithm")
    assert_same(ours(parallel(**options), current), ours(leaky(**options), current), names, rtol=1e-11)


def test_each_iteration_makes_one_more_step_exact():
    """Expected: K iterations are right in the first K + 1 steps; must differ somewhere for K = 0 and 1."""
    current = draw(STEPS, 64, SIZE, mean=0.6)
    exact = ours(leaky(), current).x
    for iterations in (0, 1, 3, 10):
        found = ours(parallel(iterations=iterations), current).x
        torch.testing.assert_close(found[: iterations + 1], exact[: iterations + 1], rtol=1e-12, atol=1e-12)
        assert iterations > 1 or not torch.allclose(found, exact)


def test_no_iteration_is_snntorch_state_leaky_of_another_decay():
    """Pinned: `StateLeaky(beta)` decays by exp(-(1 - beta)) per step; must differ from beta, which it is given."""
    beta, told = 0.5, torch.exp(torch.tensor(-0.5, dtype=torch.float64)).item()
    current = draw(STEPS, BATCH, SIZE, mean=0.4)
    theirs = snn.StateLeaky(beta=beta, channels=SIZE, spike_grad=surrogate(), output=True)
    spikes, _ = theirs(current.float())
    found = ours(parallel(iterations=0, beta=told), current)
    assert (found.x.abs() > 1e-4).all(), "no potential lies so near threshold that float32 could turn it"
    assert torch.equal(found.spikes.float(), spikes)
    assert not torch.equal(ours(parallel(iterations=0, beta=beta), current).spikes.float(), spikes)


def test_snntorch_leaky_parallel_forgets_inhibition():
    """Pinned in snnTorch 1.0: its membrane is a ReLU, so nothing below 0 is remembered; ours remembers.

    By hand: -8 then 1.5 at a decay of 1/2 is -2.5; with the ReLU it is 1.5, above 1. And without a beta its decays
    are drawn within 1/sqrt(neurons) and fixed.
    """
    theirs = snn.LeakyParallel(input_size=1, hidden_size=1, beta=0.5, bias=False)
    theirs.rnn.weight_ih_l0.data.fill_(1.0)
    x = torch.tensor([-8.0, 1.5, 0.0]).view(3, 1, 1)
    assert theirs(x).flatten().tolist() == [0.0, 1.0, 0.0]
    neuron = ParallelLeaky(
        surrogate(),
        beta=0.5,
        threshold=1.0,
        iterations=0,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
    assert neuron.potential(x).flatten().tolist() == [-9.0, -3.5, -2.25]
    drawn = snn.LeakyParallel(input_size=1, hidden_size=256).rnn.weight_hh_l0
    assert not drawn.requires_grad
    assert 0 < drawn.diag().abs().max() <= 256**-0.5


def test_a_surrogate_with_statistics_of_a_batch_takes_them_step_by_step():
    """Must match: `Leaky` without reset, whose steps are made one by one, in gradients too."""
    spec = compose(["surrogate=batch_normalised"])
    target, values = spec.targets["surrogate"], spec.method.parameters["surrogate"]
    current = draw(STEPS, 8, SIZE, mean=0.3)
    one, other = (
        parallel(iterations=0, reset_gradient="detached"),
        leaky(reset="none", reset_gradient="detached"),
    )
    one.surrogate, other.surrogate = (construct("surrogate", target, values) for _ in range(2))
    assert not one.surrogate.elementwise
    assert_same(ours(one, current), ours(other, current))


def test_eprop_covers_two_compartments():
    """Must match: back-propagation with recurrent spikes cut, in every weight."""
    fixed = {
        f"learn_{name}": "none" for name in ("soma_to_dendrite", "dendrite_to_soma", "gamma", "threshold")
    }
    for recurrence in ("none", "all_to_all"):
        assert_equals_cut_bptt(make_network(lambda features: tc_lif(**fixed), recurrence))


# --- the parallel spiking unit


def psu(**changes: object) -> Psu:
    options = {"steps": STEPS, "beta": 0.8, "threshold": 1.0, "estimate": "sigmoid", "learn": "both"}
    return Psu(surrogate(), **{**options, **changes})


@pytest.mark.parametrize("estimate", ["sigmoid", "linear"])
def test_psu_is_its_equations(estimate):
    """Expected: loops over steps, with the lower triangles of both matrices, gradients by autograd."""
    neuron = psu(estimate=estimate)
    with torch.no_grad():
        for each in neuron.parameters():  # above the diagonal too, where nothing may read
            each.add_(draw(*each.shape, seed=5, spread=0.1))
    current = draw(STEPS, BATCH, SIZE, mean=0.6)
    found = ours(neuron, current)
    a, r = (each.detach().clone().requires_grad_() for each in (neuron.integration, neuron.reset))
    leaf = current.clone().requires_grad_()
    d = [sum(a[t, k] * leaf[k] for k in range(t + 1)) for t in range(STEPS)]
    p = [torch.sigmoid(each) if estimate == "sigmoid" else each for each in d]
    x = torch.stack(
        [d[t] - sum((r[t, k] * p[k] for k in range(t)), torch.zeros(())) - 1.0 for t in range(STEPS)]
    )
    expected = Run(surrogate()(x), x, {"current": leaf, "integration": a, "reset": r})
    assert_same(found, expected, ("current", "integration", "reset"))


@pytest.mark.parametrize(
    ("learn", "expected"),
    [("none", set()), ("integration", {"integration"}), ("both", {"integration", "reset"})],
)
def test_psu_learns_what_it_is_told_to(learn, expected):
    assert {name for name, _ in psu(learn=learn).named_parameters()} == expected


def test_psu_at_its_start_is_the_leaky_neuron_if_the_estimate_were_the_spike():
    """Expected by hand: d of a leaky integrator; what is taken is theta beta^(t-k-1) p[k], the reset `subtract`."""
    neuron = psu(steps=3, beta=0.5, estimate="linear", learn="none")
    x = neuron.potential(torch.tensor([[[2.0]], [[0.0]], [[0.0]]], dtype=torch.float64))
    assert x.flatten().tolist() == [1.0, 1.0 - 2.0 - 1.0, 0.5 - (1.0 + 1.0) - 1.0]


# --- gated neurons


def slstm(**changes: object) -> Slstm:
    options = {"threshold": 0.1, "forget_bias": 0.0, "reset": "none", "reset_gradient": "detached"}
    return Slstm(surrogate(), SIZE, **{**options, "learn_threshold": "none", **changes})


def sgru(**changes: object) -> Sgru:
    options = {"threshold": 0.1, "reset": "none", "reset_gradient": "detached", "learn_threshold": "none"}
    return Sgru(surrogate(), SIZE, **{**options, **changes})


def torch_cell(kind: type[nn.RNNCellBase], matrix: Tensor) -> nn.RNNCellBase:
    """A cell of torch whose gates are driven by the identity, with the given recurrent weights and no bias."""
    rows = matrix.shape[0]
    cell = kind(rows, SIZE, bias=False, dtype=torch.float64)
    cell.weight_ih.data = torch.eye(rows, dtype=torch.float64)
    cell.weight_hh.data = matrix.clone()
    return cell


@pytest.mark.parametrize("recurrence", ["none", "all_to_all"])
def test_slstm_without_reset_is_torch_lstm_cell_behind_a_threshold(recurrence):
    """Must match: hidden values, spikes and gradients over 200 steps of `nn.LSTMCell`, thresholded."""
    current = draw(200, BATCH, 4 * SIZE)
    found = ours(slstm(), current, recurrence=recurrence)
    matrix = draw(4 * SIZE, SIZE, seed=9, spread=0.5) * (recurrence != "none")
    cell = torch_cell(nn.LSTMCell, matrix)

    def step(now: Tensor, h: Tensor, c: Tensor) -> tuple:
        h, c = cell(now, (h, c))
        return surrogate()(h - 0.1), h - 0.1, h, c

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    expected = literal(step, current, (zeros, zeros), {"recurrent": cell.weight_hh})
    names = ("current", "recurrent") if recurrence != "none" else ("current",)
    assert_same(found, expected, names, rtol=1e-10)


def test_forget_bias_joins_the_forget_gate():
    """Must match: the same current with 1 more for the forget gate; must differ without."""
    current = draw(STEPS, BATCH, 4 * SIZE)
    more = current.clone()
    more[..., SIZE : 2 * SIZE] += 1.0
    assert_same(ours(slstm(forget_bias=1.0), current), ours(slstm(), more))
    assert not torch.equal(ours(slstm(forget_bias=1.0), current).x, ours(slstm(), current).x)


@pytest.mark.parametrize("reset", ["none", "subtract", "zero"])
def test_slstm_is_snntorchs_where_its_state_survives(reset):
    """Must match: snnTorch 1.0 over 200 steps with as many inputs as neurons, where it does not forget."""
    weight, matrix = draw(4 * SIZE, SIZE, seed=4), draw(4 * SIZE, SIZE, seed=9, spread=0.5)
    options = {"bias": False, "threshold": 0.125, "spike_grad": surrogate(), "reset_mechanism": reset}
    theirs = snn.SLSTM(SIZE, SIZE, **options).double()
    theirs.lstm_cell.weight_ih.data, theirs.lstm_cell.weight_hh.data = weight, matrix
    x = draw(200, BATCH, SIZE, seed=6)

    def step(now: Tensor, *state: Tensor) -> tuple:
        s, c, h = theirs(now, *state)
        return s, h - 0.125, c, h.clone()  # the next step would write its reset into h

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    expected = literal(step, x, (zeros, zeros), {"recurrent": theirs.lstm_cell.weight_hh})
    found = ours(slstm(reset=reset, threshold=0.125), x @ weight.T, recurrence="all_to_all")
    found.gradients["current"] = found.gradients["current"] @ weight  # theirs is of the input
    assert_same(found, expected, ("current", "recurrent"), rtol=1e-10)


def test_snntorch_slstm_forgets_where_inputs_and_neurons_differ_in_number():
    """Pinned in snnTorch 1.0: its state is 0 at every step, so equal inputs give equal outputs; ours moves."""
    theirs = snn.SLSTM(3, SIZE, threshold=0.1)
    x = torch.ones(1, 3)
    first = theirs(x, torch.zeros(1, SIZE), torch.zeros(1, SIZE))
    second = theirs(x, *first[1:])
    assert torch.equal(first[2], second[2])
    current = torch.ones(2, 1, 4 * SIZE, dtype=torch.float64)
    found = ours(slstm(), current).x
    assert not torch.equal(found[0], found[1])


def test_snntorch_slstm_cannot_fire_at_its_default_threshold():
    """Pinned in snnTorch 1.0: |h| < 1 = threshold however strong the input; ours refuses such a threshold."""
    theirs = snn.SLSTM(SIZE, SIZE)
    state = (torch.zeros(2, SIZE), torch.zeros(2, SIZE))
    total = 0.0
    for now in 100 * draw(20, 2, SIZE).float():
        s, *state = theirs(now, *state)
        total += s.sum().item()
    assert total == 0
    for make in (slstm, sgru):
        with pytest.raises(
            InputError, match=r"neuron\.threshold=1: the hidden value .* use a threshold below 1"
        ):
            make(threshold=1.0)


@pytest.mark.parametrize("recurrence", ["none", "all_to_all"])
def test_sgru_without_reset_is_torch_gru_cell_behind_a_threshold(recurrence):
    """Must match: hidden values, spikes and gradients over 200 steps of `nn.GRUCell`, thresholded."""
    current = draw(200, BATCH, 3 * SIZE)
    found = ours(sgru(), current, recurrence=recurrence)
    cell = torch_cell(nn.GRUCell, draw(3 * SIZE, SIZE, seed=9, spread=0.5) * (recurrence != "none"))

    def step(now: Tensor, h: Tensor) -> tuple:
        h = cell(now, h)
        return surrogate()(h - 0.1), h - 0.1, h

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    expected = literal(step, current, (zeros,), {"recurrent": cell.weight_hh})
    names = ("current", "recurrent") if recurrence != "none" else ("current",)
    assert_same(found, expected, names, rtol=1e-10)


@pytest.mark.parametrize("reset", ["subtract", "zero"])
@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
def test_resets_of_hidden_values(reset, reset_gradient):
    """Expected: a literal transcription, h - theta s or (1 - s) h fed back; must differ from no reset."""
    current = draw(STEPS, BATCH, 3 * SIZE)
    found = ours(sgru(reset=reset, reset_gradient=reset_gradient), current)

    def step(now: Tensor, u: Tensor, s: Tensor) -> tuple:
        _, z, n = now.chunk(3, -1)
        h = (1 - torch.sigmoid(z)) * torch.tanh(n) + torch.sigmoid(z) * u
        s = s.detach() if reset_gradient == "detached" else s
        u = h - 0.1 * s if reset == "subtract" else (1 - s) * h
        s = surrogate()(u - 0.1)
        return s, u - 0.1, u, s

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    assert_same(found, literal(step, current, (zeros, zeros), {}))
    assert not torch.equal(found.spikes, ours(sgru(), current).spikes)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("recurrence", ["none", "one_to_one", "all_to_all"])
def test_gates_that_are_spikes(kind, recurrence):
    """Expected: a literal transcription of the equations, gradients by autograd, spikes 0 or 1."""
    count = {"lstm": 4, "gru": 3}[kind]
    neuron = (SpikingLstm if kind == "lstm" else SpikingGru)(surrogate())
    current = draw(STEPS, BATCH, count * SIZE)
    found = ours(neuron, current, recurrence=recurrence)
    shape = {"none": (), "one_to_one": (count * SIZE,), "all_to_all": (count * SIZE, SIZE)}[recurrence]
    matrix = draw(*shape, seed=9, spread=0.5).requires_grad_()

    def back(s: Tensor) -> list[Tensor]:
        if recurrence == "none":
            return [torch.zeros_like(s)] * count
        sent = s @ matrix.T if recurrence == "all_to_all" else torch.cat([s] * count, -1) * matrix
        return list(sent.chunk(count, -1))

    fire = surrogate()

    def lstm(now: Tensor, s: Tensor, c: Tensor) -> tuple:
        i, f, g, o = (a + b for a, b in zip(now.chunk(4, -1), back(s), strict=True))
        c = fire(f) * c + fire(i) * fire(g)
        c = torch.where(c > 1, c - (c - 1).detach(), c)
        return fire(o) * c, o, fire(o) * c, c

    def gru(now: Tensor, s: Tensor) -> tuple:
        (r, z, n), (vr, vz, vn) = now.chunk(3, -1), back(s)
        new = n + fire(r + vr) * vn
        s = (1 - fire(z + vz)) * fire(new) + fire(z + vz) * s
        return s, new, s

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    step, state = (lstm, (zeros, zeros)) if kind == "lstm" else (gru, (zeros,))
    expected = literal(step, current, state, {"recurrent": matrix})
    assert_same(found, expected, ("current",) if recurrence == "none" else ("current", "recurrent"))
    assert set(found.spikes.unique().tolist()) == {0.0, 1.0}


# --- compartments


def tc_lif(**changes: object) -> TcLif:
    options = {"soma_to_dendrite": 0.4, "dendrite_to_soma": 0.6, "gamma": 0.5, "threshold": 1.0}
    options |= {
        "reset_gradient": "attached",
        "learn_soma_to_dendrite": "shared",
        "learn_dendrite_to_soma": "per_neuron",
    }
    return TcLif(
        surrogate(), SIZE, **{**options, "learn_gamma": "none", "learn_threshold": "shared", **changes}
    )


@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
def test_tc_lif_is_the_authors_order_of_charge_fire_and_reset(reset_gradient):
    """Expected: a transcription that charges, fires and then resets both compartments, as the authors coded it."""
    neuron = tc_lif(reset_gradient=reset_gradient)
    current = draw(STEPS, BATCH, SIZE, mean=0.3)
    found = ours(neuron, current)
    names = ("soma_to_dendrite.logit", "dendrite_to_soma.logit", "threshold.logarithm")
    leaves = {name: dict(neuron.named_parameters())[name].detach().clone().requires_grad_() for name in names}
    c1, c2, log_theta = leaves.values()

    def step(now: Tensor, d: Tensor, u: Tensor) -> tuple:
        d = d - torch.sigmoid(c1) * u + now
        u = u + torch.sigmoid(c2) * d
        theta = log_theta.exp()
        s = surrogate()(u - theta)
        reset = s.detach() if reset_gradient == "detached" else s
        return s, u - theta, d - reset * 0.5, u - reset * theta

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    assert_same(found, literal(step, current, (zeros, zeros), leaves), ("current", *names), rtol=1e-10)


@pytest.mark.parametrize("engine", ["scan", "fused"])
def test_tc_lif_runs_on_the_fast_engines(engine):
    """Must match: the reference in spikes, potentials and every gradient; a detached reset stays there."""
    current = draw(60, BATCH, SIZE, mean=0.3)
    for learn in ("none", "shared", "per_neuron"):
        options = {
            f"learn_{name}": learn for name in ("soma_to_dendrite", "dendrite_to_soma", "gamma", "threshold")
        }
        found, expected = (ours(tc_lif(**options), current, engine=each) for each in (engine, "reference"))
        assert_same(found, expected, tuple(expected.gradients), rtol=1e-10)
    assert Engine("auto").pick(Given(tc_lif(reset_gradient="detached")))[0] == "reference"


@pytest.mark.parametrize("recurrence", ["none", "one_to_one", "all_to_all"])
@pytest.mark.parametrize("reset_gradient", ["attached", "detached"])
def test_three_compartments_are_their_equations(recurrence, reset_gradient):
    """Expected: a transcription that charges, fires, then sets all three to 0; the recurrence is the apical's."""
    numbers = {"basal": 0.6, "apical": 0.7, "soma": 0.5, "threshold": 1.0, "reset_gradient": reset_gradient}
    learn = {
        "learn_basal": "shared",
        "learn_apical": "none",
        "learn_soma": "per_neuron",
        "learn_threshold": "none",
    }
    neuron = ThreeCompartment(surrogate(), SIZE, **numbers, **learn)
    current = draw(STEPS, BATCH, SIZE, mean=1.0, spread=2.0)
    found = ours(neuron, current, recurrence=recurrence)
    names = ("basal.logit", "soma.logit")
    leaves = {name: dict(neuron.named_parameters())[name].detach().clone().requires_grad_() for name in names}
    shape = {"none": (1,), "one_to_one": (SIZE,), "all_to_all": (SIZE, SIZE)}[recurrence]
    matrix = draw(*shape, seed=9, spread=0.5).requires_grad_()

    def step(now: Tensor, b: Tensor, a: Tensor, u: Tensor, s: Tensor) -> tuple:
        back = s @ matrix.mT if recurrence == "all_to_all" else matrix * s * (recurrence != "none")
        b = torch.sigmoid(leaves["basal.logit"]) * (b + now)
        a = 0.7 * (a + back)
        u = u + torch.sigmoid(leaves["soma.logit"]) * (b + a - u)
        s = surrogate()(u - 1.0)
        kept = 1 - (s.detach() if reset_gradient == "detached" else s)
        return s, u - 1.0, b * kept, a * kept, u * kept, s

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    expected = literal(step, current, (zeros,) * 4, {**leaves, "recurrent": matrix})
    assert_same(found, expected, ("current", *names, *(("recurrent",) if recurrence != "none" else ())))


def dh_lif(**changes: object) -> DhLif:
    options = {
        "branches": 3,
        "inputs": "split",
        "alpha": 0.6,
        "fastest": 0.1,
        "slowest": 0.9,
        "input_gain": "one_minus_decay",
        "threshold": 1.0,
    }
    options |= {"reset": "subtract", "reset_gradient": "attached", "learn_alpha": "per_neuron"}
    return DhLif(
        surrogate(), SIZE, **{**options, "learn_branches": "per_neuron", "learn_threshold": "none", **changes}
    )


@pytest.mark.parametrize("learn", ["shared", "per_neuron"])
@pytest.mark.parametrize("input_gain", ["one", "one_minus_decay"])
def test_dh_lif_is_its_equations(input_gain, learn):
    """Expected: a literal transcription of the branches and the soma, gradients by autograd."""
    neuron = dh_lif(input_gain=input_gain, learn_branches=learn)
    assert neuron.branches.logit.shape == (3 * (SIZE if learn == "per_neuron" else 1),)
    weak = input_gain == "one_minus_decay"
    current = draw(STEPS, BATCH, 3 * SIZE, mean=0.6, spread=2.0) * (1.0 if weak else 0.1)
    found = ours(neuron, current)
    leaves = {name: value.detach().clone().requires_grad_() for name, value in neuron.named_parameters()}
    alpha, betas = (torch.sigmoid(leaf) for leaf in leaves.values())
    betas = betas.chunk(3)

    def step(now: Tensor, *state: Tensor) -> tuple:
        u, s, *d = state
        gains = [1 - x if weak else 1.0 for x in (alpha, *betas)]
        parts = zip(betas, gains[1:], d, now.chunk(3, -1), strict=True)
        d = [b * old + g * new for b, g, old, new in parts]
        u = alpha * u + gains[0] * (d[0] + d[1] + d[2]) - 1.0 * s
        s = surrogate()(u - 1.0)
        return s, u - 1.0, u, s, *d

    zeros = torch.zeros(BATCH, SIZE, dtype=torch.float64)
    assert_same(found, literal(step, current, (zeros,) * 5, leaves), ("current", *leaves), rtol=1e-10)


@pytest.mark.parametrize("recurrence", ["none", "one_to_one", "all_to_all"])
def test_each_input_reaches_one_branch_of_each_neuron(recurrence):
    """Expected: one branch per input and neuron, 3 or 4 of 10 inputs each, drawn anew for each neuron and seed."""
    layer = DenseLayer("hidden0", 10, SIZE, dh_lif(), recurrence=recurrence)
    layer.reset_weights(Kaiming(gain=1.0, recurrent_gain=1.0), torch.Generator().manual_seed(2))
    chosen = layer.mask.view(3, SIZE, 10)
    assert torch.equal(chosen.sum(0), torch.ones(SIZE, 10))
    assert set(chosen.sum(2).unique().tolist()) == {3, 4}
    assert len({tuple(row.flatten().tolist()) for row in chosen.transpose(0, 1)}) == SIZE
    x = draw(4, BATCH, 10)
    layer.current(x).sum().backward()
    assert torch.equal(layer.weight.grad != 0, layer.mask)
    if recurrence != "none":
        assert layer.recurrent_mask.view(3, SIZE, -1).sum(0).eq(1).all()
    other = DenseLayer("hidden0", 10, SIZE, dh_lif(), recurrence=recurrence)
    other.reset_weights(Kaiming(gain=1.0, recurrent_gain=1.0), torch.Generator().manual_seed(3))
    assert not torch.equal(layer.mask, other.mask)
    assert DenseLayer("hidden0", 10, SIZE, dh_lif(inputs="all")).mask is None


# --- refusals by name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: psn(start="zeros"), r"neuron\.start='zeros': one of leaky, uniform"),
        (
            lambda: Psn(surrogate(), steps=4, threshold=1.0, beta=0.5, start="uniform"),
            "a generator is needed",
        ),
        (lambda: psn(steps=0), r"neuron\.steps=0: a whole number of at least 1"),
        (lambda: masked(order=0), r"neuron\.order=0: a whole number of at least 1"),
        (lambda: masked(mask=[0.0, 1.5]), r"neuron\.mask=1\.5: a number in \[0, 1\]"),
        (lambda: masked(mask=1.0), r"neuron\.mask=1\.0: two numbers such as"),
        (lambda: sliding(beta=2.0), r"neuron\.beta=2\.0: a number in \[0, 1\]"),
        (lambda: psu(learn="all"), r"neuron\.learn='all': one of none, integration, reset, both"),
        (lambda: psu(estimate="step"), r"neuron\.estimate='step': one of sigmoid, linear"),
        (lambda: parallel(iterations=-1), r"neuron\.iterations=-1: a whole number of at least 0"),
        (lambda: parallel(reset="zero"), r"neuron\.reset='zero': one of subtract, subtract_decayed"),
        (
            lambda: slstm(reset="subtract_decayed"),
            r"neuron\.reset='subtract_decayed': a gated value has no decay",
        ),
        (lambda: slstm(reset="soft"), r"neuron\.reset='soft': one of"),
        (lambda: dh_lif(branches=0), r"neuron\.branches=0: a whole number of at least 1"),
        (
            lambda: dh_lif(fastest=0.95),
            r"neuron\.fastest=0\.95, neuron\.slowest=0\.9: 0 < fastest <= slowest < 1",
        ),
        (lambda: dh_lif(inputs="some"), r"neuron\.inputs='some': one of split, all"),
        (lambda: tc_lif(soma_to_dendrite=1.5), r"neuron\.soma_to_dendrite=1\.5: a number in \[0, 1\]"),
    ],
)
def test_bad_values_are_refused_by_name(make, message):
    """Expected: an InputError that names the parameter, its value and what is needed."""
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("kind", [SpikingLstm, SpikingGru])
def test_gates_refuse_spikes_of_either_sign(kind):
    """Expected: an InputError that names the surrogate's output; a gate is open or shut."""
    signed = surrogate()
    Ternary(threshold=1.0).begin(signed)
    with pytest.raises(InputError, match="its gates are open or shut, and the surrogate sends signed spikes"):
        kind(signed)


def test_iterations_of_random_spikes_are_refused():
    """Expected: an InputError with the remedy; without iterations they are drawn once."""
    drawn = surrogate()
    Bernoulli().begin(drawn)
    options = {
        "learn_beta": "none",
        "learn_threshold": "none",
        "reset": "subtract",
        "reset_gradient": "detached",
    }
    with pytest.raises(
        InputError, match=r"neuron\.iterations=3: random spikes .* use .*neuron\.iterations=0"
    ):
        ParallelLeaky(drawn, beta=0.8, threshold=1.0, iterations=3, **options)
    ParallelLeaky(drawn, beta=0.8, threshold=1.0, iterations=0, **options)


def test_a_sequence_has_no_single_step_and_no_recurrence():
    """Expected: errors that say so; a state to go on from is refused too."""
    with pytest.raises(InputError, match="Psn: takes all time steps at once and has no single step"):
        psn().step(torch.zeros(1, SIZE), None)
    with pytest.raises(InputError, match=r"network\.recurrence=one_to_one: .* use network\.recurrence=none"):
        Given(sliding(), recurrence="one_to_one")
    layer = Given(sliding().double())
    state = layer.neuron.initial_state(torch.zeros(BATCH, SIZE))
    with pytest.raises(InputError, match="layer 'hidden0': its neurons see a whole sequence"):
        Engine("reference").unroll([layer], draw(STEPS, BATCH, SIZE), [state])
