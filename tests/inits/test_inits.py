"""Initialisations that aim at statistics: what the potential and the currents then do, measured.

Expected values come from the targets themselves, from recursions written here, or from closed sums.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fastspiking.signals.streams import generator
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.inits.centred import Centred
from sgbench.inits.fluctuation import Fluctuation, responses
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import DenseLayer
from sgbench.networks.convolution import ConvLayer
from sgbench.training.build import build
from sgbench.training.creation import create

RATE = 0.02  # spikes of one input in one step
MEASURED = 1500  # steps, after as many as the potential needs to forget its start
FORGET = 200
KINDS = ("leaky", "synaptic", "adlif", "leaky_readout")
every_kind = pytest.mark.parametrize("kind", KINDS)


def fluctuation(*, mu_u: float = 0.0, sigma_u: float = 0.7, share: float = 0.9) -> Fluctuation:
    """With inputs of `RATE` in steps of 1 ms."""
    return Fluctuation(mu_u=mu_u, sigma_u=sigma_u, rate_hz=1000 * RATE, dt_s=0.001, feedforward_share=share)


def layer(kind: str, n_in: int, n_out: int, *, recurrence: str = "none", **options: object) -> DenseLayer:
    """A layer of such neurons in float64."""
    neuron = create(f"neuron/{kind}", config_dirs=(), allow_targets=(), features=n_out, **options).double()
    return DenseLayer("hidden0", n_in, n_out, neuron, recurrence=recurrence)


def poisson(n: int, rate: float = RATE, seed: int = 1) -> Tensor:
    """Independent Poisson counts [T, n]."""
    rates = torch.full((FORGET + MEASURED, n), rate, dtype=torch.float64)
    return torch.poisson(rates, generator=torch.Generator().manual_seed(seed))


def free_potential(made: DenseLayer, current: Tensor) -> Tensor:
    """Potential [T, N] of neurons that never fire, under a current [T, N], from their numbers one by one."""
    numbers = made.neuron.recurrence_spec()
    w = u = torch.zeros(current.shape[1], dtype=torch.float64)
    kept = []
    with torch.no_grad():
        for now in current:
            before = u
            w = numbers.second_decay * w + numbers.second_potential * before + numbers.second_input * now
            u = numbers.decay * before + numbers.input * now + numbers.coupling * w
            kept.append(u)
    return torch.stack(kept)[FORGET:]


def drawn(made: DenseLayer, init: Init, seed: int = 0) -> DenseLayer:
    """The layer with its weights drawn."""
    made.reset_weights(init, generator(seed, "initialisation"))
    return made


@pytest.mark.one_in(8)
@every_kind
def test_response_sums_are_those_of_the_recursion(kind):
    """Expected: the sum, and that of the squares, over 1000 steps after one unit of current."""
    made = layer(kind, 1, 1)
    impulse = torch.zeros(FORGET + 1000, 1, dtype=torch.float64)
    impulse[FORGET] = 1.0
    kernel = free_potential(made, impulse)
    total, power = responses(made.neuron.recurrence_spec())
    torch.testing.assert_close(total.flatten(), kernel.sum(0))
    torch.testing.assert_close(power.flatten(), kernel.square().sum(0))


def test_response_of_a_leaky_neuron_is_a_geometric_series():
    """Expected in closed form: 1/(1 - beta) and 1/(1 - beta^2), of each neuron; gain 1 - beta makes the first 1."""
    beta = torch.linspace(0.5, 0.9, 5, dtype=torch.float64)
    total, power = responses(layer("leaky", 3, 5, beta=[0.5, 0.9]).neuron.recurrence_spec())
    torch.testing.assert_close(total, 1 / (1 - beta), rtol=1e-6, atol=0)
    torch.testing.assert_close(power, 1 / (1 - beta.square()), rtol=1e-6, atol=0)
    gained = layer("leaky", 3, 5, beta=[0.5, 0.9], input_gain="one_minus_beta").neuron.recurrence_spec()
    torch.testing.assert_close(responses(gained)[0], torch.ones(5, dtype=torch.float64))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("kind", "mu_u"), [("leaky", 0.0), ("synaptic", 0.3), ("adlif", 0.3)])
def test_potential_has_the_mean_and_deviation_asked_for(kind, mu_u):
    """Expected: mu_U and sigma_U under Poisson input, over 400 neurons; weights by fan-in alone differ."""
    n_in, n_out, sigma_u = 300, 400, 0.7
    counts = poisson(n_in)
    made = drawn(layer(kind, n_in, n_out), fluctuation(mu_u=mu_u, sigma_u=sigma_u))
    u = free_potential(made, made.current(counts).detach())
    assert u.std(0).mean().item() == pytest.approx(sigma_u, rel=0.03)
    assert u.mean().item() == pytest.approx(mu_u, abs=0.06)
    plain = drawn(layer(kind, n_in, n_out), Kaiming(gain=1.0, recurrent_gain=1.0))
    other = free_potential(plain, plain.current(counts).detach())
    assert abs(other.std(0).mean().item() / sigma_u - 1) > 0.3


def test_neurons_of_unlike_decays_fluctuate_alike():
    """Expected: sigma_U of every neuron from the shortest to the longest memory; one deviation for all differs."""
    n_in, n_out, sigma_u = 300, 200, 0.5
    counts = poisson(n_in)
    made = drawn(layer("leaky", n_in, n_out, beta=[0.1, 0.97]), fluctuation(sigma_u=sigma_u))
    ends = [slice(0, 50), slice(-50, None)]
    deviations = free_potential(made, made.current(counts).detach()).std(0)
    assert [deviations[end].mean().item() for end in ends] == pytest.approx([sigma_u, sigma_u], rel=0.05)
    with torch.no_grad():
        made.weight.copy_(made.weight.std() * torch.randn(made.weight.shape, dtype=torch.float64))
    deviations = free_potential(made, made.current(counts).detach()).std(0)
    assert deviations[ends[1]].mean() > 2 * deviations[ends[0]].mean()


def test_recurrence_takes_its_share_of_the_variance_and_of_the_inputs():
    """Expected: both currents together give sigma_U and mu_U, the recurrent one 1 - a of the variance."""
    n_in, n_out, sigma_u, mu_u = 200, 300, 0.8, 0.2
    made = drawn(
        layer("leaky", n_in, n_out, recurrence="all_to_all"), fluctuation(sigma_u=sigma_u, mu_u=mu_u, share=0.75)
    )
    forward = made.current(poisson(n_in)).detach()
    back = made.feedback(poisson(n_out, seed=2)).detach()
    both = free_potential(made, forward + back)
    assert both.std(0).mean().item() == pytest.approx(sigma_u, rel=0.03)
    assert both.mean().item() == pytest.approx(mu_u, abs=0.06)
    share = free_potential(made, back).var(0).mean().item() / both.var(0).mean().item()
    assert share == pytest.approx(0.25, rel=0.06)


def test_weights_of_a_convolution_count_its_taps():
    """Expected: sigma_U^2 = nu dt (sum eps^2) sum W^2 over 27 taps of 400 channels, not over 3 inputs."""
    neuron = create("neuron/leaky", config_dirs=(), allow_targets=(), features=400 * 36, beta=0.8).double()
    sizes = {"kernel_size": 3, "stride": 1, "recurrence": "none", "recurrence_gradient": "full"}
    made = ConvLayer("hidden0", (3, 6, 6), 400, lambda _: neuron, **sizes, bias=False)
    power = drawn(made, fluctuation(sigma_u=0.6)).weight.detach().square().sum((1, 2, 3)).mean().item()
    assert RATE / (1 - 0.8**2) * power == pytest.approx(0.6**2, rel=0.05)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("kind", "options", "init", "words"),
    [
        ("gru", {}, fluctuation(), "not linear in one current"),
        ("izhikevich", {}, fluctuation(), "not linear in one current"),
        ("leaky", {"beta": 1.0}, fluctuation(), "does not decay"),
        ("leaky", {}, fluctuation(mu_u=50.0), "a larger sigma_u or rate_hz"),
        ("leaky", {}, Centred(gain=1.0, input_power=0.5), "needs recurrent weights"),
        ("izhikevich", {}, Centred(gain=1.0, input_power=0.5), "not linear in one current"),
    ],
)
def test_layers_for_which_an_initialisation_is_not_defined_are_refused(kind, options, init, words):
    """Expected: one line that names the initialisation and the remedy."""
    kind = {"gru": "spiking_gru"}.get(kind, kind)
    with pytest.raises(InputError, match=words) as refused:
        drawn(layer(kind, 4, 4, **options), init)
    assert str(refused.value).startswith("init")
    assert "\n" not in str(refused.value)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("reset", ["subtract", "subtract_decayed", "zero", "none"])
def test_recurrence_holds_the_mean_potential_at_threshold(reset):
    """Condition I, simulated: neurons that fire in every second step, whatever their potential, stay at threshold.

    Expected: the mean over time and neurons; with recurrent weights of mean 0 it is elsewhere.
    """
    beta, theta, n = 0.8, 1.5, 400
    made = layer("leaky", 50, n, recurrence="all_to_all", beta=beta, threshold=theta, reset=reset)
    means = []
    for init in (Centred(gain=1.0, input_power=0.5), Kaiming(gain=1.0, recurrent_gain=1.0)):
        drawn(made, init)
        coins = torch.Generator().manual_seed(4)
        u, total = torch.full((n,), theta, dtype=torch.float64), 0.0
        for _ in range(500):
            s = (torch.rand(n, generator=coins) < 0.5).double()
            current = made.feedback(s[None])[0].detach()
            numbers = {"subtract": (u, theta * s), "subtract_decayed": (u - theta * s, 0 * s)}
            numbers |= {"zero": ((1 - s) * u, 0 * s), "none": (u, 0 * s)}
            kept, paid = numbers[reset]
            u = beta * kept + current - paid
            total += u.mean().item()
        means.append(total / 500)
    assert means[0] == pytest.approx(theta, rel=0.1)
    assert abs(means[1] / theta - 1) > 0.3


def test_recurrent_and_feedforward_currents_vary_alike():
    """Condition II, measured over weights and steps: equal variances; without its factor 2 they differ."""
    gain, n_in, n = 0.8, 300, 500
    made = drawn(layer("leaky", n_in, n, recurrence="all_to_all", beta=0.9), Centred(gain=gain, input_power=0.5))
    forward = made.current(poisson_coins(n_in, 5)).detach()
    back = made.feedback(poisson_coins(n, 6)).detach()
    power = forward.square().mean().item()
    assert power == pytest.approx(gain**2 * 0.5, rel=0.05)
    assert back.var().item() == pytest.approx(power, rel=0.05)
    mean = 1.2 / n
    halved = gain**2 * 0.5 / n - mean**2 / 2
    with torch.no_grad():
        made.recurrent.copy_(mean + halved**0.5 * torch.randn(n, n, dtype=torch.float64))
    assert made.feedback(poisson_coins(n, 6)).var().item() < 0.6 * power


def poisson_coins(n: int, seed: int) -> Tensor:
    """Spikes in every second step on average [400, n]."""
    return (torch.rand(400, n, generator=torch.Generator().manual_seed(seed)) < 0.5).double()


@pytest.mark.one_in(4)
@pytest.mark.parametrize("words", [["init=fluctuation"], ["init=centred", "network.recurrence=all_to_all"]])
def test_a_run_takes_them_from_its_words(words, tmp_path: Path):
    """Expected: the same weights from the same seed; others from another seed and from kaiming's draws."""
    paths = [f"paths.runs_dir={tmp_path}", f"paths.data_dir={tmp_path}", "experiment=yin_yang"]
    made = [build(compose([*paths, *words, f"seed={seed}"])).network.layers[0] for seed in (0, 0, 1)]
    made.append(build(compose([*paths, *words[1:], "seed=0"])).network.layers[0])
    first, again, other, plain = (one.weight if one.recurrent is None else one.recurrent for one in made)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)
