"""Lapicque and Alpha against snnTorch 1.0, and what it does otherwise, pinned.

Legend: T steps, B batch, N neurons; I current, u membrane potential. A pinned test that fails means that snnTorch
has changed: compare again, and edit the docstring of the class that it names.
"""

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

import sgbench
from fastspiking.choose import Engine
from sgbench.errors import InputError
from tests.catalogue.neuron_cases import SIZE, Driven, drive, make, run, surrogate

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")

STEPS = 200


def number(value: float) -> Tensor:
    """A float64 tensor: snnTorch would turn a plain float into float32."""
    return torch.tensor(value, dtype=torch.float64)


def theirs(neuron: nn.Module, current: Tensor, fields: int) -> tuple[Tensor, Tensor]:
    """Spikes and membrane of all steps, from rest."""
    state = [torch.zeros_like(current[0]) for _ in range(fields)]
    spikes, membranes = [], []
    for now in current:
        sent, *state = neuron(now, *state)
        spikes.append(sent)
        membranes.append(state[-1])
    return torch.stack(spikes), torch.stack(membranes)


def assert_equal(found, expected, current) -> None:
    """Spikes equal; membranes and the current's gradient of a functional of both within 1e-10 of their largest."""
    assert torch.equal(found[0], expected[0])
    assert 0.02 < found[0].mean() < 0.98
    weights = torch.arange(current.numel(), dtype=torch.float64).cos().view_as(current)
    gradients = []
    for spikes, membrane in (found, expected):
        loss = (weights * spikes + weights.flip(0) * membrane).sum()
        gradients.append(torch.autograd.grad(loss, current)[0])
    for one, other in ((found[1], expected[1]), gradients):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * other.abs().max().item())


def ours(name: str, current: Tensor, **changes: object) -> tuple[Tensor, Tensor]:
    """Spikes and membrane of an entry."""
    neuron = make(name, **changes)
    found = run(neuron, current)
    return found.output, found.u + number(neuron.threshold())


@pytest.mark.parametrize("reset", ["subtract", "none"])
def test_lapicque(reset):
    """Expected: snnTorch's Lapicque(R, C, time_step), 200 steps."""
    current = (4 * drive("lapicque", make("lapicque"), STEPS)).requires_grad_()
    other = snn.Lapicque(
        R=number(2.0), C=number(0.004), time_step=number(0.001), reset_mechanism=reset, spike_grad=surrogate(),
        threshold=number(1.0),
    )  # fmt: skip
    found = ours("lapicque", current, resistance_ohm=2.0, capacitance_f=0.004, reset=reset)
    assert_equal(found, theirs(other, current, 1), current)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("alpha", "beta"), [(0.9, 0.8), (0.6, 0.1)])
def test_alpha(alpha, beta):
    """Expected: snnTorch's Alpha without reset, 200 steps."""
    current = drive("alpha", make("alpha"), STEPS).requires_grad_()
    other = snn.Alpha(
        alpha=number(alpha), beta=number(beta), reset_mechanism="none", spike_grad=surrogate(), threshold=number(0.8)
    )
    found = ours("alpha", current, alpha=alpha, beta=beta, reset="none", threshold=0.8)
    assert_equal(found, theirs(other, current, 3), current)


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("name", "changes", "family"),
    [
        ("lapicque", {}, snn.Leaky),
        ("lapicque", {"capacitance_f": 0.002}, snn.Lapicque),
        ("lapicque", {"capacitance_f": 0.002, "reset": "none"}, snn.Lapicque),
        ("leaky", {"input_gain": "one_minus_beta"}, snn.Lapicque),
        ("integrate_and_fire", {}, snn.Leaky),
        ("alpha", {"reset": "none"}, snn.Alpha),
        ("leaky", {"reset": "zero"}, snn.Leaky),
    ],
    ids=str,
)
def test_engine_snntorch_equals_reference(name, changes, family, monkeypatch):
    """Expected: the step; spikes equal, potentials, last state, gradients to 1e-10, by the class that is named."""
    made = []
    init = family.__init__
    monkeypatch.setattr(family, "__init__", lambda self, *args, **kw: (made.append(family), init(self, *args, **kw))[1])
    current = drive(name, make(name), 50).requires_grad_()
    results = []
    for engine in ("reference", "snntorch"):
        layer = Driven(make(name, **changes), "all_to_all", gain=0.2 * current.abs().mean().item())
        found = Engine(engine).unroll([layer], current, keep_u=True)[0]
        loss = (found.output * found.u.detach().cos() + found.u * found.u.detach().sin()).sum()
        results.append((found, torch.autograd.grad(loss, [current, layer.recurrent])))
    (expected, wanted), (found, gradients) = results
    assert made
    assert torch.equal(found.output, expected.output)
    for one, other in zip((found.u, *found.state, *gradients), (expected.u, *expected.state, *wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * other.abs().max().item())


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("lapicque", {"capacitance_f": 0.002, "reset": "zero"}, "snnTorch resets otherwise than zero"),
        ("alpha", {"reset": "subtract"}, "snnTorch resets otherwise than subtract"),
        ("alpha", {"reset": "zero"}, "snnTorch resets otherwise than zero"),
        ("alpha", {"reset": "none", "alpha": 0.2, "beta": 0.8}, "snnTorch has no such neuron"),
        ("alpha", {"reset": "none", "learn_alpha": "shared"}, "snnTorch has no such neuron"),
        ("plif", {}, "snnTorch has no such neuron"),
        ("resonate_and_fire", {}, "snnTorch has no such neuron"),
        ("eif", {}, "its neurons have no linear recurrence"),
    ],
    ids=str,
)
def test_engine_snntorch_refuses(name, changes, reason):
    """Expected: what snnTorch 1.0 does not have or does otherwise, see the pins below."""
    with pytest.raises(InputError, match=f"^engine=snntorch: .*: {reason}; use engine=auto$"):
        Engine("snntorch").pick(Driven(make(name, **changes)))


# --- pinned


def test_zero_reset_of_lapicque_drops_a_current():
    """Must differ. By hand, decay 0.5, gain 1, current 1.5: a spike at once; then 0 there, 1.5 here."""
    other = snn.Lapicque(R=2.0, C=1.0, time_step=1, reset_mechanism="zero")
    current = torch.full((2, 1, 1), 1.5)
    assert theirs(other, current, 1)[1].flatten().tolist() == [1.5, 0.0]
    found = ours("lapicque", current, resistance_ohm=2.0, capacitance_f=1.0, dt_s=1.0, reset="zero")
    assert found[1][:, 0, 0].tolist() == [1.5, 1.5]


def test_lapicque_of_a_beta_decays_otherwise():
    """Must differ. With beta = 0.5 its decay is 1 + ln 0.5 = 0.307, and its gain -ln 0.5."""
    other = snn.Lapicque(beta=0.5, reset_mechanism="none")
    _, membrane = theirs(other, torch.tensor([1.0, 0.0]).view(2, 1, 1), 1)
    first, second = membrane.flatten().tolist()
    assert first == pytest.approx(0.6931, abs=1e-4)
    assert second / first == pytest.approx(0.3069, abs=1e-4)


def test_resets_of_alpha_reach_into_its_currents():
    """Must differ. Its zero clears both currents with the step's input, ours the potential alone."""
    current = torch.zeros(6, 1, 1, dtype=torch.float64)
    current[0] = 20.0
    options = {"alpha": number(0.9), "beta": number(0.8), "spike_grad": surrogate(), "threshold": number(1.0)}
    for reset in ("zero", "subtract"):
        spikes, membrane = theirs(snn.Alpha(**options, reset_mechanism=reset), current, 3)
        found = ours("alpha", current, alpha=0.9, beta=0.8, reset=reset)
        assert spikes[1] == found[0][1, 0, 0] == 1
        torch.testing.assert_close(membrane[:2, 0], found[1][:2, 0, :1], rtol=1e-12, atol=0)
        assert abs(membrane[2].item() - found[1][2, 0, 0].item()) > 0.1
    assert membrane.isfinite().all()
    cleared = theirs(snn.Alpha(**options, reset_mechanism="zero"), current, 3)[1]
    assert not cleared[2:].any()


def test_alpha_cannot_learn_alpha():
    """Pinned: a TypeError, for the clamped parameter is no parameter any more. Ours learns it."""
    with pytest.raises(TypeError):
        snn.Alpha(alpha=torch.tensor(0.9), beta=torch.tensor(0.8), learn_alpha=True)
    assert make("alpha", learn_alpha="per_neuron").alpha().shape == (SIZE,)


def test_lapicque_learns_no_second_time():
    """Pinned: with learn_beta the graph of the first pass lies in a buffer, and the second backward fails."""
    other = snn.Lapicque(beta=torch.tensor(0.5), learn_beta=True)
    for attempt in range(2):
        _, membrane = other(torch.ones(1, 1), torch.zeros(1, 1))
        if attempt == 0:
            membrane.sum().backward()
        else:
            with pytest.raises(RuntimeError, match="second time"):
                membrane.sum().backward()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_the_attached_reset(reset):
    """Expected: what `sgbench.use` makes of snnTorch's neuron equals ours attached, 200 steps; detached differs."""
    other = snn.Leaky(beta=number(0.9), threshold=number(1.0), spike_grad=surrogate(), reset_mechanism=reset)
    sgbench.use(nn.Sequential(other), reset_gradient="attached")
    current = drive("leaky", make("leaky"), STEPS).requires_grad_()
    attached = ours("leaky", current, beta=0.9, reset=reset, reset_gradient="attached")
    assert_equal(attached, theirs(other, current, 1), current)
    detached = ours("leaky", current, beta=0.9, reset=reset, reset_gradient="detached")
    with pytest.raises(AssertionError):
        assert_equal(detached, theirs(other, current, 1), current)
