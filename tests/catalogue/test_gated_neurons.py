"""Gated neurons against torch's cells, snnTorch's `SLSTM` and literal transcriptions of their equations.

Legend: T steps, B batch, N neurons; I current, u membrane potential, s spikes, theta threshold.
"""

from __future__ import annotations

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from sgbench.errors import InputError
from sgbench.firing.ternary import Ternary
from sgbench.neurons.gru import SpikingGru
from sgbench.neurons.lstm import SpikingLstm
from tests.catalogue.sequence_cases import BATCH, SIZE, STEPS, assert_same, draw, literal, ours, sgru, slstm, surrogate
from tests.messages import raises_naming

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

# --- gated neurons


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


@pytest.mark.one_in(12)
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
        with raises_naming(InputError, "neuron.threshold=1", "below 1"):
            make(threshold=1.0)


@pytest.mark.one_in(4)
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


@pytest.mark.one_in(4)
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


# --- refusals by name


@pytest.mark.parametrize("kind", [SpikingLstm, SpikingGru])
def test_gates_refuse_spikes_of_either_sign(kind):
    """Expected: an InputError that names the surrogate's output; a gate is open or shut."""
    signed = surrogate()
    Ternary(threshold=1.0).begin(signed)
    with raises_naming(InputError, "gates", "signed"):
        kind(signed)
