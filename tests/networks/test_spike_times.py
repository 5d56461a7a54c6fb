"""Networks with times between steps: spikes by bisection and closed forms, gradients by central differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking import arrays
from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.composition.compose import compose
from sgbench.energy.count import OperationCounter
from sgbench.errors import InputError, NonFiniteError
from sgbench.exchange.nir_export import to_nir
from sgbench.inits.shifted import Shifted
from sgbench.losses.first_spike import FirstSpike as FirstSpikeLoss
from sgbench.networks import event_driven
from sgbench.networks.base import Provided
from sgbench.networks.event_driven import EventDriven, potentials
from sgbench.networks.event_simulation import run_events
from sgbench.networks.first_spike import FirstSpike, first_spikes
from sgbench.networks.spike_times import Arrivals, Membrane, SpikeTimes, input_events
from sgbench.training.build import build
from tests.messages import raises_naming
from tests.networks.parts import leaky, readout
from tests.run.tiny import WORDS

STEPS, TAU = 40, 5.0
SPIKING = frozenset({SPIKES})
NO_LEAK, DOUBLE = Membrane(math.inf, TAU, 1.0), Membrane(2 * TAU, TAU, 1.0)
LOSS = FirstSpikeLoss(tau_s=0.002, early=0.01, tau_early_s=0.01, dt_s=0.001)


def drawn(samples: int, arrivals: int, neurons: int, seed: int = 0) -> Arrivals:
    """Return arrivals within 20 steps, and jumps of either sign, mostly upwards."""
    random = torch.Generator().manual_seed(seed)
    times = torch.rand(samples, arrivals, generator=random, dtype=torch.float64).mul(20).sort(1).values
    jumps = torch.randn(samples, arrivals, neurons, generator=random, dtype=torch.float64) * 1.5 + 1.0
    return Arrivals(times, jumps)


def potential(at: float, times: list[float], weights: list[float], membrane: Membrane) -> float:
    """V by its definition, of a neuron that has not fired."""
    total = 0.0
    for time, weight in zip(times, weights, strict=True):
        if time < at:
            slow = math.exp(-(at - time) / membrane.tau_mem) if math.isfinite(membrane.tau_mem) else 1.0
            share = membrane.share if math.isfinite(membrane.tau_mem) else 1.0
            total += weight * share * (slow - math.exp(-(at - time) / membrane.tau_syn))
    return total


def by_bisection(times: list[float], weights: list[float], membrane: Membrane, end: float) -> float:
    """Return when V is first above the threshold: looked for every hundredth of a step, then halved."""
    before = 0.0
    for tick in range(1, round(end * 100)):
        at = tick / 100
        if potential(at, times, weights, membrane) > membrane.threshold:
            for _ in range(60):
                middle = (before + at) / 2
                above = potential(middle, times, weights, membrane) > membrane.threshold
                before, at = (before, middle) if above else (middle, at)
            return at
        before = at
    return math.inf


@pytest.mark.parametrize("membrane", [NO_LEAK, DOUBLE], ids=["no_leak", "double"])
def test_closed_forms_are_where_the_potential_crosses(membrane: Membrane) -> None:
    """Must match: the crossing by bisection, to 1e-9 of a step; some neurons are silent."""
    arrivals = drawn(3, 6, 8)
    times = first_spikes(arrivals, torch.full((3,), 40.0).double(), membrane)
    for sample in range(3):
        for neuron in range(8):
            weights = arrivals.jumps[sample, :, neuron].tolist()
            expected = by_bisection(arrivals.times[sample].tolist(), weights, membrane, 40.0)
            assert times[sample, neuron].item() == pytest.approx(expected, abs=1e-9)
    assert 0 < times.isinf().sum() < times.numel() / 2


def test_events_agree_with_the_closed_form() -> None:
    """Must match: first spikes of both ways at tau_mem = 2 tau_syn. Must differ: of another time constant."""
    arrivals, ends = drawn(4, 6, 8, seed=1), torch.full((4,), 40.0).double()
    expected = first_spikes(arrivals, ends, DOUBLE)
    for membrane, equal in ((DOUBLE, True), (Membrane(11.0, TAU, 1.0), False)):
        spikes, _ = run_events(arrivals, ends, membrane, None)
        first = torch.full_like(expected, math.inf)
        for sample, neuron in ((b, n) for b in range(4) for n in range(8)):
            own = spikes.times[sample][(spikes.source[sample] == neuron) & spikes.times[sample].isfinite()]
            first[sample, neuron] = own.min() if len(own) else math.inf
        assert torch.allclose(first, expected, rtol=0, atol=1e-10) is equal


def scalar_events(
    arrivals: Arrivals, sample: int, membrane: Membrane, recurrent: Tensor, end: float
) -> list[tuple[float, int]]:
    """Return the spikes of one sample: scalars, crossings by bisection below the peak that calculus gives."""
    mem, syn, k = membrane.tau_mem, membrane.tau_syn, membrane.share
    neurons, now, sent = recurrent.shape[0], 0.0, []
    u, i = [0.0] * neurons, [0.0] * neurons
    upcoming = [(t, arrivals.jumps[sample, n].tolist()) for n, t in enumerate(arrivals.times[sample].tolist())]
    for barrier, jump in [*upcoming, (end, [0.0] * neurons)]:
        while True:
            best: tuple[float, int] | None = None
            for n in range(neurons):
                a, b = u[n] + k * i[n], k * i[n]
                high = barrier - now
                if a > 0 and b > 0:
                    peak = math.log(b * mem / (a * syn)) * mem * syn / (mem - syn)
                    high = min(high, peak) if peak > 0 else high

                def above(d: float, a: float = a, b: float = b) -> bool:
                    return a * math.exp(-d / mem) - b * math.exp(-d / syn) > membrane.threshold

                if high > 0 and above(high):
                    low = 0.0
                    for _ in range(80):
                        middle = (low + high) / 2
                        low, high = (low, middle) if above(middle) else (middle, high)
                    best = min(best or (math.inf, 0), (high, n))
            span = barrier - now if best is None else best[0]
            slow, fast = math.exp(-span / mem), math.exp(-span / syn)
            u = [slow * one + k * (slow - fast) * two for one, two in zip(u, i, strict=True)]
            i = [fast * one for one in i]
            now += span
            if best is None:
                break
            sent.append((now, best[1]))
            u[best[1]] = 0.0
            i = [one + recurrent[n, best[1]].item() for n, one in enumerate(i)]
        now, i = barrier, [one + two for one, two in zip(i, jump, strict=True)]
    return sent


def test_recurrent_events_are_those_of_scalars() -> None:
    """Must match: times to 1e-9 and neurons of all spikes of an independent loop over scalars."""
    arrivals, ends = drawn(3, 6, 5, seed=2), torch.full((3,), 40.0).double()
    membrane = Membrane(20.0, TAU, 0.5)
    recurrent = torch.randn(5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    spikes, _ = run_events(arrivals, ends, membrane, recurrent)
    for sample in range(3):
        there = spikes.times[sample].isfinite()
        times, sources = zip(*scalar_events(arrivals, sample, membrane, recurrent, 40.0), strict=True)
        assert spikes.source[sample][there].tolist() == list(sources)
        assert spikes.times[sample][there].tolist() == pytest.approx(times, abs=1e-9)
    assert there.sum() > 8


def implicit(arrivals: Arrivals, spikes: list[tuple[float, int]], membrane: Membrane, sends: Tensor) -> Tensor:
    """Return the spike times of one sample as functions of what it is given, by one step of Newton's from each.

    V is a sum of kernels of earlier events; autograd differentiates the step, whose slope is held.
    """
    mem, syn = membrane.tau_mem, membrane.tau_syn
    made: list[Tensor] = []

    def potential_of(n: int, at: Tensor) -> Tensor:
        since = at - torch.stack([*arrivals.times[0], *made])
        weights = torch.cat([arrivals.jumps[0, :, n], sends[n, [source for _, source in spikes[: len(made)]]]])
        own = torch.tensor([False] * len(arrivals.times[0]) + [source == n for _, source in spikes[: len(made)]])
        slow, fast = (-since / mem).exp(), (-since / syn).exp()
        each = membrane.share * weights * (slow - fast) - membrane.threshold * torch.where(own, slow, 0.0)
        return each[since > 0].sum()

    for time, n in spikes:
        at = torch.tensor(time, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(potential_of(n, at), at, retain_graph=True)
        made.append(at.detach() - (potential_of(n, at.detach()) - membrane.threshold) / slope)
    return torch.stack(made)


@pytest.mark.parametrize("joined", [False, True], ids=["apart", "recurrent"])
def test_slopes_of_spike_times_are_those_of_implicit_functions(joined: bool) -> None:
    """Must match: by arrivals, jumps and recurrent weights, to 1e-10. Must differ: where no reset moves."""
    membrane, end = Membrane(20.0, TAU, 0.5), torch.tensor([40.0]).double()
    random = torch.Generator().manual_seed(3)
    sends = torch.randn(5, 5, generator=random, dtype=torch.float64) * (1.0 if joined else 0.0)
    given = (*drawn(1, 6, 5, seed=2), sends)
    found, expected, held = ([part.clone().requires_grad_() for part in given] for _ in range(3))
    spikes, _ = run_events(Arrivals(*found[:2]), end, membrane, found[2] if joined else None)
    there = list(zip(spikes.times[0].tolist(), spikes.source[0].tolist(), strict=True))
    worth = torch.randn(len(there), generator=random, dtype=torch.float64)
    (spikes.times[0] * worth).sum().backward()
    times = implicit(Arrivals(*expected[:2]), there, membrane, expected[2])
    torch.testing.assert_close(spikes.times[0], times, rtol=0, atol=1e-12)
    (times * worth).sum().backward()
    still = implicit(Arrivals(*held[:2]), there, membrane._replace(threshold=0.0), held[2])
    (still * worth).sum().backward()
    for one, other, wrong in list(zip(found, expected, held, strict=True))[: 3 if joined else 2]:
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-10 * other.grad.abs().max().item())
        assert not torch.allclose(one.grad, wrong.grad, rtol=1e-3, atol=0)
    assert len(there) >= 8
    assert torch.bincount(spikes.source[0]).max() > 1  # some fire again


def test_a_neuron_may_fire_as_often_as_it_will() -> None:
    """Must match: all spikes of the loop over scalars, where a neuron fires 60 times before each arrival."""
    arrivals, membrane = drawn(2, 3, 1, seed=4), Membrane(20.0, TAU, 0.5)
    arrivals = arrivals._replace(jumps=arrivals.jumps.abs() * 150)
    spikes, _ = run_events(arrivals, torch.full((2,), 40.0).double(), membrane, None)
    for sample in range(2):
        times = [time for time, _ in scalar_events(arrivals, sample, membrane, torch.zeros(1, 1), 40.0)]
        assert spikes.times[sample][spikes.times[sample].isfinite()].tolist() == pytest.approx(times, abs=1e-9)
        assert len(times) > 150


def test_threads_do_not_change_a_bit_of_spike_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: equal bits of times and slopes with one thread and with three, whose borders are uneven."""
    monkeypatch.setattr(arrays, "MIN_WORK", 1)
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            given = [part.requires_grad_() for part in drawn(7, 6, 8)]
            spikes, u = run_events(Arrivals(*given), torch.full((7,), 40.0).double(), Membrane(20.0, TAU, 1.0), None)
            torch.where(spikes.times.isfinite(), spikes.times, 0.0).square().sum().backward()
            results.append((spikes.times.detach(), spikes.source, u, *(part.grad for part in given)))
    finally:
        torch.set_num_threads(threads)
    assert all(map(torch.equal, *results))


def test_a_machine_without_compiled_loops_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: one line that names the network and what lacks."""
    monkeypatch.setattr(event_driven, "import_problem", lambda: "numba cannot be imported (gone)")
    with raises_naming(InputError, "network=event_driven", "numba"):
        network("potential")


WAYS: dict[str, tuple[type[SpikeTimes], dict[str, Any]]] = {
    "no_leak": (FirstSpike, {"membrane": "no_leak", "threshold": 1.0}),
    "double": (FirstSpike, {"membrane": "double", "threshold": 0.5}),
    "potential": (EventDriven, {"answer": "potential", "recurrence": "none", "threshold": 0.5, "tau_mem_s": 0.02}),
    "recurrent": (
        EventDriven,
        {"answer": "potential", "recurrence": "all_to_all", "threshold": 0.4, "tau_mem_s": 0.02},
    ),
    "events": (EventDriven, {"answer": "first_spike", "recurrence": "none", "threshold": 0.5, "tau_mem_s": 0.02}),
}
every_way = pytest.mark.parametrize("way", WAYS)


def network(way: str, hidden: tuple[int, ...] = (5, 4), **changes: Any) -> SpikeTimes:
    """Return a network in float64 with three inputs and two outputs, whose neurons fire."""
    made, numbers = WAYS[way]
    init = Shifted(gain=1.0, recurrent_gain=0.3, hidden_sum=5.0, readout_sum=5.0)
    numbers = {"tau_syn_s": 0.005, "dt_s": 0.001, "wake": 0.0, "hidden": list(hidden), **numbers, **changes}
    random = torch.Generator().manual_seed(5)
    return made(Provided(3, 2, leaky, readout, init, random, Engine("auto")), **numbers).double()


def batch(samples: int = 4, seed: int = 0) -> Batch:
    """Return one spike of each input within 15 steps; the second sample is shorter."""
    random = torch.Generator().manual_seed(seed)
    x = torch.zeros(STEPS, samples, 3, dtype=torch.float64)
    steps = torch.randint(0, 15, (samples, 3), generator=random)
    x.scatter_(0, steps[None], 1.0)
    lengths = torch.full((samples,), STEPS)
    lengths[1:2] = 30
    return Batch(x, torch.arange(samples) % 2, lengths, torch.arange(samples))


def loss_of(made: SpikeTimes, given: Batch) -> tuple[Tensor, list[Tensor]]:
    """Return a loss on first spikes, or on all potentials, and the spikes by steps."""
    trajectory = made.unroll(given.x, given.lengths, keep=SPIKING)
    if trajectory.times is not None:
        return LOSS.whole(trajectory, given.target), list(trajectory.spikes)
    valid = torch.arange(STEPS)[:, None] < given.lengths
    return (trajectory.output * valid[..., None]).square().mean(), list(trajectory.spikes)


@pytest.mark.one_in(8)
@every_way
def test_gradients_are_central_differences(way: str) -> None:
    """Must match: to 1e-6 of the largest slope of each weight, where as many spikes fall into the same steps."""
    made, given = network(way), batch(samples=2)
    loss, _ = loss_of(made, given)
    loss.backward()
    compared = 0
    for name, weight in made.named_parameters():
        assert weight.grad.any(), name
        scale = weight.grad.abs().max().item()
        for place in [(row, column) for row in range(2) for column in range(weight.shape[1])]:
            ends = []
            for sign in (1, -1):
                with torch.no_grad():
                    weight[place] += sign * 1e-6
                    ends.append(loss_of(made, given))
                    weight[place] -= sign * 1e-6
            if not all(map(torch.equal, ends[0][1], ends[1][1])):
                continue
            slope = (ends[0][0] - ends[1][0]).item() / 2e-6
            assert slope == pytest.approx(weight.grad[place].item(), abs=1e-6 * scale), (name, place)
            compared += 1
    assert compared > 10


@every_way
def test_float32_weights_are_computed_in_float64(way: str) -> None:
    """Must match: the slopes of the same weights in float64, to the rounding of the result alone."""
    made, single, given = network(way), network(way).float(), batch()
    for name, weight in made.named_parameters():
        weight.data = single.get_parameter(name).data.double()
    for each in (made, single):
        dtype = each.readout.weight.dtype
        loss_of(each, given._replace(x=given.x.to(dtype)))[0].backward()
    for name, weight in made.named_parameters():
        found = single.get_parameter(name).grad.double()
        torch.testing.assert_close(found, weight.grad, rtol=2e-4, atol=1e-5 * weight.grad.abs().max().item())


@pytest.mark.parametrize("membrane", [NO_LEAK, DOUBLE], ids=["no_leak", "double"])
def test_arrivals_at_once_are_one(membrane: Membrane) -> None:
    """Must match: two arrivals at the same time, and one with the sum of both jumps; slopes of both are equal."""
    times = torch.tensor([[1.0, 4.0, 4.0, 9.0]]).double()
    jumps = torch.tensor([[[1.0], [2.5], [3.5], [1.0]]]).double().requires_grad_()
    ends = torch.tensor([40.0]).double()
    split = first_spikes(Arrivals(times, jumps), ends, membrane)
    one = torch.tensor([[[1.0], [6.0], [1.0]]]).double()
    joined = first_spikes(Arrivals(times[:, [0, 1, 3]], one), ends, membrane)
    assert split.item() == pytest.approx(joined.item(), abs=1e-12)
    split.sum().backward()
    assert jumps.grad[0, 1] == jumps.grad[0, 2] != 0
    assert jumps.grad[0, 3] == 0  # behind the spike


def test_two_spikes_that_change_places_leave_the_loss_continuous() -> None:
    """Expected: the readout's potential moves by as little as the two hidden spikes do, whichever is first."""
    made = network("potential", hidden=(2,))
    given = batch(1)
    made.layers[0].weight.data[1] = made.layers[0].weight.data[0]
    outputs = []
    for nudge in (-1e-7, 1e-7):
        with torch.no_grad():
            made.layers[0].weight[1, 0] += nudge
            outputs.append(made.unroll(given.x, given.lengths).output)
            made.layers[0].weight[1, 0] -= nudge
    assert 0 < (outputs[0] - outputs[1]).abs().max() < 1e-5


@every_way
def test_silent_neurons_have_no_gradient_but_that_of_wake(way: str) -> None:
    """By hand: with weights too small to fire all slopes are 0; with `wake` each weight gets minus that."""
    for wake in (0.0, 0.25):
        made, given = network(way, wake=wake), batch()
        made.layers[0].weight.data.fill_(1e-3)
        loss_of(made, given)[0].backward()
        first = made.layers[0].weight.grad
        assert torch.equal(first, torch.full_like(first, -wake)), first


def test_a_silent_output_answers_at_the_end() -> None:
    """By hand: times are infinite, the output is minus the sample's length, and both classes are as likely."""
    made, given = network("no_leak"), batch()
    made.layers[0].weight.data.fill_(1e-3)
    trajectory = made.unroll(given.x, given.lengths, keep=SPIKING)
    assert trajectory.times.isinf().all()
    assert torch.equal(trajectory.output[0, :, 0], -given.lengths.double())
    late = LOSS.early * math.expm1(40 * LOSS.dt_s / LOSS.tau_early_s)
    assert LOSS.each(trajectory, given.target)[0].item() == pytest.approx(math.log(2) + late)
    assert not any(sent.any() for sent in trajectory.spikes)


@every_way
def test_too_few_steps_make_it_silent(way: str) -> None:
    """Expected: no spike in as many steps as no current needs to reach the threshold, and a finite loss."""
    made, given = network(way), batch()
    short = given._replace(x=given.x[:1], lengths=torch.ones_like(given.lengths))
    trajectory = made.unroll(short.x, short.lengths, keep=SPIKING)
    assert not any(sent.any() for sent in trajectory.spikes)
    assert trajectory.output.isfinite().all()


def test_counts_are_those_of_the_same_spikes_on_the_grid() -> None:
    """By hand: hidden spikes by their steps, floor of the time, and one operation for each at each output."""
    made, given = network("no_leak", hidden=(5,)), batch()
    trajectory = made.unroll(given.x, given.lengths, keep=SPIKING)
    times = first_spikes(Arrivals(*_arrivals(given, made.layers[0].weight)), given.lengths.double(), made.membrane)
    grid = torch.zeros(STEPS, 4, 5, dtype=torch.float64)
    for sample, neuron in times.isfinite().nonzero().tolist():
        grid[math.floor(times[sample, neuron]), sample, neuron] = 1
    assert torch.equal(trajectory.spikes[0], grid)
    counter = OperationCounter(made, "binary", bits=64)
    counter.update(given, trajectory)
    hidden, readout = counter.result().layers
    assert hidden.spikes_sent.total == int(grid.sum()) > 0
    assert readout.synapses[0].effective.total == 2 * int(grid.sum())
    assert readout.spikes_sent.total == int(trajectory.spikes[1].sum())


def _arrivals(given: Batch, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return input spikes of each sample in order, and their jumps."""
    times, source = given.x.argmax(0).double().sort(1)
    return times, weight.detach().T[source]


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("network=first_spike", "normalisation=tdbn"), r"normalisation: .*use normalisation=none$"),
        (("network=event_driven", "dropout=shared_mask"), r"dropout: .*use dropout=none$"),
        (("network=first_spike", "engine=reference"), r"engine=reference: .*use engine=auto$"),
        (("network=event_driven", "rule.window=2"), r"use rule\.window=null$"),
        (("network=first_spike", "rule=eprop", "loss=per_step"), r"use rule=bptt$"),
        (("network=first_spike", "rule=forward_gradient"), r"use rule=bptt$"),
        (("network=event_driven", "network.tau_syn_s=0.02"), r"use network\.tau_syn_s=0\.0198$"),
        (("network=first_spike", "network.membrane=leaky"), r"network\.membrane"),
        (("network=ann_mlp", "loss=first_spike"), r"loss=first_spike: .*use loss=max_over_time"),
    ],
)
def test_what_does_not_go_together_is_refused(words: tuple[str, ...], says: str) -> None:
    """Expected: one line that names the option and the remedy."""
    with pytest.raises(InputError, match=says):
        build(compose([*WORDS, *words]))


def test_what_a_closed_form_cannot_hold_is_refused() -> None:
    """Expected: beyond 600 synaptic time constants one line that names another network."""
    arrivals = drawn(1, 3, 2)
    with pytest.raises(InputError, match="use network=event_driven"):
        first_spikes(arrivals, torch.tensor([4000.0]).double(), NO_LEAK)


def test_firing_without_end_stops_the_run() -> None:
    """Expected: an error that a run records as its failure, where recurrence excites itself beyond all bounds."""
    arrivals = drawn(1, 3, 2)
    with pytest.raises(NonFiniteError, match="between two events"):
        run_events(arrivals, torch.tensor([40.0]).double(), Membrane(20.0, 5.0, 0.5), torch.full((2, 2), 50.0).double())


@pytest.mark.parametrize("way", ["potential", "no_leak", "double"])
def test_nir_has_its_time_constants(way: str) -> None:
    """By hand: the seconds that were asked for, two nodes without a leak, and metadata for what no node says."""
    pytest.importorskip("nir")
    made = network(way)
    graph = to_nir(made, dt_s=0.001, step="exponential")
    neurons = graph.nodes["hidden0.neurons"]
    if way == "no_leak":
        assert type(neurons).__name__ == "IF"
        assert graph.nodes["hidden0.synapses"].tau == pytest.approx(0.005)
        # A jump w of the current fills the potential with w, as an integral over all steps.
        assert neurons.r * 0.001 * graph.nodes["hidden0.synapses"].r == pytest.approx(1.0)
    else:
        mem = 0.02 if way == "potential" else 0.01
        assert (neurons.tau_syn, neurons.tau_mem) == (pytest.approx(0.005), pytest.approx(mem))
    assert graph.metadata["spikes"] == ("all" if way == "potential" else "first")
    with pytest.raises(InputError, match="use step=exponential"):
        to_nir(made, dt_s=0.001)


def test_a_clocked_machine_steps_the_same_potential() -> None:
    """Must match: events at steps alone, a readout step by step and from event to event, to 1e-12."""
    made, given = network("potential", hidden=(4,)), batch()
    (run,) = Engine("reference").unroll([made.readout], given.x.repeat(1, 1, 2)[..., :4])
    arrivals = input_events(given.x.repeat(1, 1, 2)[..., :4], torch.full((4,), STEPS))
    exact = potentials(Arrivals(arrivals[0], arrivals[1] @ made.readout.weight.T), STEPS, made.membrane)
    torch.testing.assert_close(run.output, exact, rtol=1e-12, atol=1e-12)
