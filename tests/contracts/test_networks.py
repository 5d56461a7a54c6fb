"""What every network of the catalogue keeps: weights, time, samples, engines and what its layers receive.

Each entry with the values of its file in small, and, where it has the option, with recurrence among all neurons;
in float64.
"""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.spikes import SparseSpikes, windows
from fastspiking.signals.trajectory import POTENTIAL, SPIKES, Batch, Trajectory, detached
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.networks.baseline import Baseline
from sgbench.networks.spike_times import SpikeTimes
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from tests.contracts.rows import SMALL, SMALL_NETWORKS, batch_of
from tests.entries import spec_with

WIRINGS = [
    (name, wiring)
    for name, entry in catalogue.entries("network").items()
    for wiring in ("none", "all_to_all")
    if wiring == "none" or "recurrence" in entry.parameters
]
every = pytest.mark.parametrize(("name", "wiring"), WIRINGS)
EVERYTHING = frozenset({SPIKES, POTENTIAL})


@functools.cache
def spec_of(name: str, wiring: str, seed: int = 0) -> RunSpec:
    """Return the specification of a small network whose neurons fire."""
    values: dict[str, Any] = {**SMALL, **SMALL_NETWORKS.get(name, {}), "seed": seed}
    values |= {"protocol.precision": "float64", "init.gain": 3.0}
    if wiring != "none":
        values["network.recurrence"] = wiring
    return spec_with({"network": name}, values)


def parts_of(name: str, wiring: str, seed: int = 0, engine: str = "auto") -> Parts:
    """Return everything around such a network; spiking ones on an engine of this name."""
    parts = build(spec_of(name, wiring, seed))
    if parts.network.spiking:
        parts.network.engine = Engine(engine)
    return parts


def batch_for(parts: Parts) -> Batch:
    """Return random spikes of samples that end at different steps."""
    return batch_of(parts, spec_of(*WIRINGS[0]))


def ran(parts: Parts, x: Any = None) -> Trajectory:
    """Return an unrolled network with all that it can keep."""
    batch = batch_for(parts)
    return parts.network.unroll(batch.x if x is None else x, batch.lengths, keep=EVERYTHING)


def close(one: Tensor, other: Tensor) -> None:
    """Compare to the rounding of another order of sums."""
    torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.one_in(5)
@every
def test_it_owns_every_weight_and_each_learns(name: str, wiring: str) -> None:
    """Expected: all parameters lie in its layers, in float64; outputs have a finite slope, not 0, in each."""
    parts = parts_of(name, wiring)
    batch = batch_for(parts)
    names, weights = zip(*parts.network.named_parameters(), strict=True)
    assert all(weight.dtype == torch.float64 for weight in weights)
    inside = {id(weight) for layer in parts.network.layers for weight in layer.parameters()}
    assert {id(weight) for weight in weights} == inside
    trajectory = parts.network.unroll(batch.x, batch.lengths)
    # Every output with a weight of its own: no loss that looks at one step leaves a weight out.
    output = trajectory.output
    functional = (output * torch.arange(output.numel()).view_as(output).cos()).sum()
    for key, slope in zip(names, torch.autograd.grad(functional, weights), strict=True):
        assert slope.isfinite().all(), key
        assert slope.any(), f"{key}: no gradient"


@pytest.mark.one_in(4)
@every
def test_it_keeps_what_is_asked_for(name: str, wiring: str) -> None:
    """Expected: outputs [T, B, C], a state of each layer, spikes and potentials where asked for alone."""
    parts = parts_of(name, wiring)
    batch, network = batch_for(parts), parts.network
    whole = ran(parts)
    steps, samples = batch.x.shape[:2]
    assert whole.output.shape == (steps, samples, parts.data.data_set.outputs())
    assert len(whole.state) == len(network.layers)
    assert torch.equal(whole.lengths, batch.lengths)
    bare = network.unroll(batch.x, batch.lengths)
    assert (bare.spikes, bare.u) == ((), ())
    assert torch.equal(bare.output, whole.output)
    if network.spiking:
        layers = network.hidden_layers
        assert [sent.shape for sent in whole.spikes] == [(steps, samples, layer.neurons) for layer in layers]
        assert len(whole.u) == len(network.layers)
        assert all(sent.any() for sent in whole.spikes), "a layer is silent: the tests here would see nothing"


@pytest.mark.one_in(5)
@every
def test_a_sample_depends_on_its_own_steps_alone(name: str, wiring: str) -> None:
    """Must match: outputs before a sample's end, with other input behind it, another order, no other samples."""
    parts = parts_of(name, wiring)
    batch, network = batch_for(parts), parts.network
    valid = torch.arange(len(batch.x))[:, None] < batch.lengths
    expected = ran(parts).output
    padded = ran(parts, torch.where(valid[..., None], batch.x, 1 - batch.x)).output
    close(padded[valid], expected[valid])
    turned = network.unroll(batch.x.flip(1), batch.lengths.flip(0)).output.flip(1)
    close(turned[valid], expected[valid])
    for sample in range(batch.x.shape[1]):
        alone = network.unroll(batch.x[:, sample : sample + 1], batch.lengths[sample : sample + 1]).output
        close(alone[valid[:, sample], 0], expected[valid[:, sample], sample])
    moved = ran(parts, torch.where(valid[..., None], 1 - batch.x, batch.x)).output
    assert (moved[valid] != expected[valid]).any()


@pytest.mark.one_in(10)
@every
def test_engines_and_forms_of_input_agree(name: str, wiring: str) -> None:
    """Expected: `reference`; spikes equal, outputs and gradients to rounding, of dense input and of events."""
    results = []
    for engine in ("reference", "auto"):
        for packed in (False, True):
            parts = parts_of(name, wiring, engine=engine)
            x = batch_for(parts).x
            trajectory = ran(parts, SparseSpikes.of(x) if packed else x)
            results.append((trajectory, torch.autograd.grad(trajectory.output.sum(), parts.network.parameters())))
    expected, slopes = results[0]
    for trajectory, others in results[1:]:
        assert all(map(torch.equal, trajectory.spikes, expected.spikes))
        close(trajectory.output, expected.output)
        for one, other in zip(others, slopes, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9 * other.abs().max().item())


@pytest.mark.one_in(4)
@every
def test_windows_go_on_from_a_state_or_it_says_why_not(name: str, wiring: str) -> None:
    """Expected: two windows are one pass, the second from the first's state; or one line that says why not."""
    parts = parts_of(name, wiring)
    batch, network = batch_for(parts), parts.network
    if network.needs_all_steps is not None:
        assert "\n" not in network.needs_all_steps
        return
    state, outputs = None, []
    for window in windows(batch.x, 2):
        made = network.unroll(window, batch.lengths, state)
        state = detached(made.state)
        outputs.append(made.output)
    close(torch.cat(outputs), ran(parts).output)
    rest = network.unroll(batch.x[2:], batch.lengths).output
    assert not torch.equal(rest[0], torch.cat(outputs)[2])


@pytest.mark.one_in(10)
@every
def test_weights_are_a_function_of_the_seed(name: str, wiring: str) -> None:
    """Must match: the bytes of a second build, without a draw elsewhere. Must differ: those of another seed."""
    draws = torch.get_rng_state()
    first, again, other = (parts_of(name, wiring, seed).network.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), draws)
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key in first if not torch.equal(first[key], other[key])]
    assert len(drawn) >= len(parts_of(name, wiring).network.layers)


@pytest.mark.one_in(10)
@every
def test_state_dict_is_all_that_a_network_is(name: str, wiring: str) -> None:
    """Expected: a network of another seed with the first's weights gives the first's bytes."""
    first, other = parts_of(name, wiring), parts_of(name, wiring, seed=1)
    assert not torch.equal(ran(first).output, ran(other).output)
    other.network.load_state_dict(first.network.state_dict())
    assert torch.equal(ran(first).output, ran(other).output)


@pytest.mark.one_in(4)
@every
def test_layers_receive_what_it_says(name: str, wiring: str) -> None:
    """Expected: each spiking layer alone, on what `received` names, sends what it sent; a source for each layer."""
    parts = parts_of(name, wiring)
    network = parts.network
    sources = network.sources("binary")
    assert len(sources) == len(network.layers)
    assert (sources[0].name, sources[0].kind) == ("input", "binary")
    if not network.spiking:
        return
    trajectory = ran(parts)
    received = network.received(batch_for(parts).x, [*trajectory.spikes, None])
    sent = [*trajectory.spikes, trajectory.output]
    for layer, signal, source, expected in zip(network.layers, received, sources, sent, strict=True):
        (alone,) = network.engine.unroll([layer], signal)
        torch.testing.assert_close(alone.output, expected, rtol=1e-11, atol=1e-11)
        assert source.kind == "real" or set(signal.unique().tolist()) <= {0.0, 1.0}, source


@pytest.mark.one_in(5)
@every
def test_another_engine_is_refused_or_runs(name: str, wiring: str) -> None:
    """Expected: `reference` runs every network of neurons that step; others say in one line what runs them."""
    spec = spec_of(name, wiring).model_copy(update={"engine": "reference"})
    if isinstance(build(spec_of(name, wiring)).network, Baseline | SpikeTimes):
        with pytest.raises(InputError, match="use engine=auto"):
            build(spec)
        return
    assert build(spec).engine.name == "reference"
