"""What every neuron of the catalogue keeps, whoever wrote it.

Legend: T steps, B batch, N neurons; u membrane potential.
"""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.neurons.base import RESET_GRADIENTS, Neuron
from sgbench.neurons.quantity import Decay, EulerRate, Positive
from tests.catalogue.neuron_cases import BATCH, ENTRIES, NAMES, SIZE, STEPS, Driven, declared, drive, make, recipe, run
from tests.messages import raises_naming

every = pytest.mark.parametrize("name", NAMES)
STEPWISE = [name for name in NAMES if not make(name).sees_all_steps]
LINEAR = [name for name in NAMES if declared(name).linear]
OPTIONS = ("reset", "reset_gradient", "input_gain", "activation", "inputs", "start")
KINDS = {"binary": {0.0, 1.0}, "signed": {-1.0, 0.0, 1.0}, "integer": {float(k) for k in range(9)}}


def learnt(name: str, kind: str) -> dict[str, str]:
    """Every option of an entry that says what is learnt, set alike."""
    return {key: kind for key in recipe(name)[1] if key == "learn" or key.startswith("learn_")}


def test_recipes_are_those_of_a_run() -> None:
    """Expected: what `compose` gives a run."""
    for name, step_s in (("brf", 0.001), ("synaptic", 0.0005)):
        spec = compose([f"neuron={name}", f"protocol.dt_s={step_s}", f"protocol.steps={STEPS}"])
        assert recipe(name, step_s) == (spec.targets["neuron"], dict(spec.method.parameters["neuron"]))


def test_there_are_forty() -> None:
    """Expected: the catalogue's size, and a family and a formula for each."""
    assert len(NAMES) >= 40
    assert all({"family", "formula", "aliases"} <= entry.meta.keys() for entry in ENTRIES.values())


@pytest.mark.one_in(10)
@every
def test_nothing_is_remembered_but_the_state(name):
    """Expected: a second run gives the first's bits; so do two windows, the second from the first's state."""
    neuron = make(name)
    current = drive(name, neuron)
    whole = run(neuron, current)
    again = run(neuron, current)
    assert torch.equal(whole.output, again.output)
    assert torch.equal(whole.u, again.u)
    if neuron.sees_all_steps or declared(name).stochastic:
        return
    first = run(neuron, current[:10])
    second = run(neuron, current[10:], state=first.state)
    assert torch.equal(torch.cat([first.output, second.output]), whole.output)
    assert all(torch.equal(one, other) for one, other in zip(second.state, whole.state, strict=True))


@pytest.mark.one_in(10)
@every
def test_neurons_and_samples_do_not_look_at_each_other(name):
    """Must match: every other neuron and sample. Must differ: the one whose current was changed."""
    neuron = make(name)
    current = drive(name, neuron)
    moved = current.clone()
    moved[3:, 1, 2::SIZE] += current.abs().max()
    one, other = run(neuron, current), run(neuron, moved)
    same = torch.ones(BATCH, SIZE, dtype=torch.bool)
    same[1, 2] = False
    assert torch.equal(one.u[:, same], other.u[:, same])
    assert torch.equal(one.output[:, same], other.output[:, same])
    assert (one.u[:, 1, 2] != other.u[:, 1, 2]).any()


@pytest.mark.one_in(10)
@every
def test_it_sends_what_it_says(name):
    """Expected: values of the kind that `sends` names, not all alike; potentials and states finite, one dtype."""
    neuron = make(name)
    for dtype in (torch.float64, torch.float32):
        neuron = neuron.to(dtype)
        found = run(neuron, drive(name, neuron, steps=STEPS).to(dtype))
        values = set(found.output.unique().tolist())
        assert len(values) > 1
        assert values <= KINDS.get(neuron.sends, values)
        assert (neuron.sends == "real") == (len(values) > 9)
        for each in (found.output, found.u, *found.state):
            assert each.dtype == dtype
            assert each.isfinite().all()


@pytest.mark.one_in(10)
@every
def test_gradient_reaches_the_current(name):
    """Expected: finite, not 0, and none from a later step to an earlier output where steps go one by one."""
    neuron = make(name)
    current = drive(name, neuron).requires_grad_()
    found = run(neuron, current)
    (gradient,) = torch.autograd.grad((found.output * found.u.detach().cos()).sum(), current, retain_graph=True)
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 1e-6
    (early,) = torch.autograd.grad(found.u[9].sum(), current)
    assert neuron.sees_all_steps or not early[10:].any()


@every
def test_files_say_what_classes_do(name):
    """Expected: `linear` where fast engines know its numbers, `stochastic` where it draws."""
    neuron = make(name)
    found = neuron.recurrence_spec() is not None
    assert declared(name) == (found, bool(getattr(neuron, "surrogate", None) and neuron.surrogate.stochastic))
    operations = neuron.operations
    assert min(operations) >= 0
    assert operations.additions > 0 or name == "mcculloch_pitts"


@pytest.mark.one_in(10)
@every
def test_copies_and_pickles(name):
    """Expected: the same bits from a deep copy and from an unpickled one, also after use."""
    neuron = make(name)
    current = drive(name, neuron, steps=STEPS)
    expected = run(neuron, current)
    for twin in (copy.deepcopy(neuron), pickle.loads(pickle.dumps(neuron))):  # noqa: S301 - our own bytes
        assert torch.equal(run(twin, current).u, expected.u)


# --- engines


def layer_and_input(name: str, **changes: object) -> tuple[Driven, Tensor]:
    """A layer with connections among its neurons, and input."""
    neuron = make(name, **changes)
    current = drive(name, neuron)
    recurrence = "none" if neuron.output == "real" else "all_to_all"
    return Driven(neuron, recurrence, gain=0.2 * current.abs().mean().item()), current.requires_grad_()


@pytest.mark.one_in(10)
@pytest.mark.parametrize("engine", ["scan", "fused"])
@pytest.mark.parametrize("name", LINEAR)
def test_fast_engines_equal_the_step(name, engine):
    """Expected: `reference`; spikes equal, potentials, states and all gradients within 1e-9 of their largest."""
    values = recipe(name)[1]
    for gradient in RESET_GRADIENTS if "reset_gradient" in values else (None,):
        changes = learnt(name, "per_neuron") | ({} if gradient is None else {"reset_gradient": gradient})
        if values.get("beta") in (0.0, 1.0):
            changes |= {"learn_beta": "none"}  # it is at a bound
        if make(name, **changes).recurrence_spec() is None:
            continue  # a reset of the second variable, which no engine detaches
        results = []
        for one in ("reference", engine):
            layer, current = layer_and_input(name, **changes)
            found = Engine(one).unroll([layer], current, keep_u=True)[0]
            weights = torch.arange(found.output.numel(), dtype=torch.float64).cos().view_as(found.output)
            loss = (weights * found.output + weights.flip(0) * found.u).sum()
            loss = loss + sum(each.sum() for each in found.state if each.requires_grad)
            leaves = [current, *layer.parameters()][: 1 + len(list(layer.parameters()))]
            used = [each for each in leaves if each.requires_grad and each is not layer.weight]
            results.append((found, torch.autograd.grad(loss, used)))
        (expected, gradients), (found, others) = results
        assert torch.equal(found.output, expected.output) or expected.output is expected.u
        for one, other in zip((found.u, *found.state, *others), (expected.u, *expected.state, *gradients), strict=True):
            scale = other.abs().max().item()
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * max(scale, 1e-3))


@every
def test_auto_takes_the_fastest_that_knows_it(name):
    """Expected: fused for what is linear, else reference."""
    layer, _ = layer_and_input(name) if name in STEPWISE else (Driven(make(name)), None)
    chosen = Engine("auto").describe([layer]).name
    assert chosen == ("fused" if declared(name).linear else "reference")


# --- learnt numbers


def learning(name: str) -> Neuron:
    """An entry that learns all that it can, but for a decay at its bound."""
    options = {"learn": "both"} if name == "psu" else learnt(name, "per_neuron")
    if recipe(name)[1].get("beta") in (0.0, 1.0):
        options["learn_beta"] = "none"
    return make(name, **options)


def gradients_of(neuron: Neuron, current: Tensor) -> dict[str, Tensor]:
    """Of a functional of all that it sends and of all its potentials."""
    found = run(neuron, current)
    loss = (found.output * found.output.detach().cos() + 0.3 * found.u).sum()
    names, parameters = zip(*neuron.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True))


SILENT = {("three_compartment", "apical.logit")}  # a dendrite for what comes back, where nothing does
LEARNERS = [name for name in NAMES if list(learning(name).parameters())]


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", LEARNERS)
def test_every_learnt_number_gets_gradient(name):
    """Expected: finite and not 0."""
    neuron = learning(name)
    for key, gradient in gradients_of(neuron, drive(name, neuron)).items():
        assert gradient is not None, key
        assert gradient.isfinite().all(), key
        assert gradient.any() or (name, key) in SILENT, f"{key}: no gradient"


@pytest.mark.one_in(5)
@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("name", LEARNERS)
def test_bounded_numbers_stay_in_range_and_alive(name, direction):
    """Expected: decays and rates in (0, 1), others above 0, and a slope, 1e30 beyond where they were stored."""
    for key, number in learning(name).named_modules():
        if not isinstance(number, Decay | EulerRate | Positive) or not list(number.parameters()):
            continue
        (stored,) = number.parameters()
        stored.data += direction * (30.0 if isinstance(number, Positive) else 1e30)
        value = number()
        assert ((value > 0) & (value < (math.inf if isinstance(number, Positive) else 1))).all(), key
        (slope,) = torch.autograd.grad(value.sum(), stored)
        assert (slope > 0).all(), key


@pytest.mark.one_in(5)
@pytest.mark.parametrize("name", [name for name in STEPWISE if "learn_threshold" in recipe(name)[1]])
def test_a_range_over_neurons(name):
    """Must match: each neuron of a range is the neuron of its own number. Must differ: the first and the last."""
    ends = recipe(name)[1]["threshold"], 1.5 * recipe(name)[1]["threshold"]
    if name.endswith(("lstm", "gru")):
        ends = ends[0], 1.2 * ends[0]
    ranged = make(name, threshold=ends)
    current = drive(name, ranged, steps=STEPS)
    found = run(ranged, current)
    for position in (0, 1, SIZE - 1):
        number = ends[0] + (ends[1] - ends[0]) * position / (SIZE - 1)
        alone = run(make(name, threshold=number), current)
        torch.testing.assert_close(found.u[..., position], alone.u[..., position], rtol=1e-12, atol=1e-12)
        if not declared(name).stochastic:
            torch.testing.assert_close(found.output[..., position], alone.output[..., position], rtol=1e-12, atol=1e-12)
    learning = make(name, threshold=ends, learn_threshold="per_neuron")
    torch.testing.assert_close(torch.as_tensor(learning.threshold()), torch.as_tensor(ranged.threshold()))


# --- refusals by name


def numbers(name: str) -> list[str]:
    """Parameters of an entry that are numbers."""
    return [key for key, value in recipe(name)[1].items() if isinstance(value, float | int)]


@pytest.mark.one_in(4)
@every
def test_bad_numbers_are_refused_by_name(name):
    """Expected: an InputError that begins with the parameter; not a number, and no number at all."""
    for key in numbers(name):
        for value in (math.nan, math.inf, "much", True, None, [1.0, 2.0, 3.0]):
            with pytest.raises(InputError) as caught:
                make(name, **{key: value})
            assert str(caught.value).startswith(f"neuron.{key}="), f"{name} {key}={value!r}: {caught.value}"


@pytest.mark.one_in(4)
@every
def test_bad_choices_are_refused_by_name(name):
    """Expected: an InputError that names the option and lists its values."""
    for key in [*learnt(name, ""), *(set(recipe(name)[1]) & set(OPTIONS))]:
        with raises_naming(InputError, f"neuron.{key}='hardly'", str(recipe(name)[1][key])):
            make(name, **{key: "hardly"})


def test_pairs_say_what_they_need():
    """Expected: a range needs the number of neurons, and cannot be shared."""
    with raises_naming(InputError, "neuron.beta=[0.5, 0.9]", "features"):
        make("leaky", size=None, beta=[0.5, 0.9])
    with raises_naming(InputError, "neuron.beta=[0.5, 0.9]", "learn_beta=per_neuron"):
        make("leaky", beta=[0.5, 0.9], learn_beta="shared")
    with raises_naming(InputError, "neuron.beta=1.5", "[0, 1]"):
        make("leaky", beta=[0.5, 1.5])


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("lapicque", {"dt_s": 0.02}, r"neuron\.dt_s=0.02: a step shorter than .* 0.01 s"),
        ("eif", {"tau_mem_s": 0.0005}, r"neuron\.tau_mem_s=0.0005: a number in \(0.001, inf\)"),
        ("alpha", {"beta": 0.0}, r"neuron\.beta=0.0: strictly between 0 and 1"),
        ("brf", {"omega_rad_s": 2000.0}, r"neuron\.omega_rad_s=2000: below 1 / dt_s = 1000 rad/s"),
        ("ternary", {"reset": "zero"}, r"neuron\.reset=zero: Ternary .*use neuron\.reset=subtract"),
        ("integer", {"reset": "zero"}, r"neuron\.reset=zero: MultiSpike"),
        ("leaky", {"beta": 0.0, "input_gain": "dt_over_tau"}, r"neuron\.input_gain=dt_over_tau: beta=0"),
    ],
    ids=str,
)
def test_numbers_that_do_not_go_together(name, changes, said):
    """Expected: one line with the remedy."""
    with pytest.raises(InputError, match=said):
        make(name, **changes)


@pytest.mark.parametrize("name", ["liaf", "escape_noise", "ternary", "multi_spike", "sigma_delta"])
def test_neurons_that_fire_their_own_way_refuse_another(name):
    """Expected: an InputError with firing=step as remedy."""
    from sgbench.firing.ternary import Ternary
    from tests.catalogue import neuron_cases

    told = neuron_cases.surrogate()
    Ternary(threshold=1.0).begin(told)
    target, values = recipe(name)
    with pytest.raises(InputError, match="use firing=step"):
        neuron_cases.construct("neuron", target, values, surrogate=told, features=1)


def test_catalogue_knows_other_names():
    """Expected: an alias is answered with the entry's name."""
    for alias, name in (
        ("if", "integrate_and_fire"),
        ("ilif", "integer"),
        ("coba_lif", "conductance"),
        ("rf", "resonate_and_fire"),
    ):
        with pytest.raises(InputError, match=f"sgbench calls it '{name}'"):
            catalogue.entry("neuron", alias)


def test_neurons_are_what_the_contract_says() -> None:
    """Expected: every entry is a `Neuron` whose state, where it fires, has the spikes of its last step."""
    for name in NAMES:
        neuron = make(name)
        assert isinstance(neuron, Neuron)
        assert neuron.output == "real" or "s" in neuron.initial_state(torch.zeros(1, SIZE))._fields
