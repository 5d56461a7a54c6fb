"""What goes along with generated loops: events in front of them, and the readout behind.

Expected: the engine `reference`, which makes dense products and calls each `step`. The loops run as Python.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fastspiking import arrays, fused, generated, generated_forward
from fastspiking.choose import Engine
from tests.fastspiking.cases import SINGLE, Wired, assert_same, last_output, neuron, packed, result, spikes

SIZES = [(8, 2, 6), (3, 1, 65), (2, 150, 3)]
"""Steps, samples, hidden neurons: more of these than a word has bits, more samples than a block and a part have."""


def chain(kind: str = "adex", size: int = 6, *, bias: bool = True, readout: Any = None, **changes: Any) -> list[Any]:
    """A layer on 6 inputs, and a readout of three."""
    last = neuron("leaky_readout", 3) if readout is None else readout
    return [
        Wired(6, neuron(kind, size, **changes), size, gain=3.0, bias=bias),
        Wired(size, last, 3, gain=1.0, bias=bias, name="readout"),
    ]


@pytest.fixture
def along_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The readout has no pass of its own."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the readout had a pass of its own")

    monkeypatch.setattr(fused, "unroll", refuse)


@pytest.mark.parametrize(("steps", "batch", "size"), SIZES)
@pytest.mark.parametrize("bias", [True, False])
def test_all_that_is_handed_out(along_alone, steps, batch, size, bias):
    """Expected: `reference`, for a loss of spikes, potentials and last states of both layers."""
    layers, x = chain(size=size, bias=bias), spikes(steps, batch, 6, 0.2)
    found, expected = (result(engine, layers, packed(x)) for engine in ("auto", "reference"))
    assert expected.output[0].any()
    assert_same(found, expected)


@pytest.mark.parametrize("keep_u", [True, False])
@pytest.mark.parametrize("pack", [True, False])
def test_spikes_that_nobody_wants(along_alone, keep_u, pack):
    """Expected: as above, on events and on dense input; and None in place of the spikes."""
    layers, x = chain(learn="per_neuron"), spikes(8, 5, 6, 0.2)
    given = packed(x) if pack else x
    found, expected = (
        result(engine, layers, given, loss=last_output, keep_spikes=False, keep_u=keep_u)
        for engine in ("auto", "reference")
    )
    assert found.output[0] is None
    assert_same(found, expected)


def test_without_gradient(along_alone):
    """Expected: outputs and states as with it."""
    layers, x = chain(), packed(spikes(8, 40, 6, 0.2))
    with torch.no_grad():
        runs = Engine("auto").unroll(layers, x)
    expected = result("reference", layers, x)
    assert torch.equal(runs[0].output, expected.output[0])
    assert (runs[1].output - expected.output[1]).abs().max() < 1e-12
    assert (runs[1].state.u - expected.state[1][0]).abs().max() < 1e-12


def test_single_precision(along_alone):
    """Expected: spikes equal, gradients to 1e-5 of the reference in the same precision."""
    layers, x = chain(), packed(spikes(8, 70, 6, 0.2).float())
    for layer in layers:
        layer.float()
    found, expected = (result(engine, layers, x) for engine in ("auto", "reference"))
    assert torch.equal(found.output[0], expected.output[0])
    assert_same(found, expected, rtol=SINGLE)


@pytest.mark.parametrize(
    ("kind", "readout"),
    [
        ("ternary", None),
        ("multi_spike", None),
        ("adex", neuron("leaky_readout", 3, learn="per_neuron")),
        ("adex", neuron("leaky", 3)),
    ],
    ids=["signed", "counts", "learnt decay", "fires"],
)
def test_what_does_not_go_along(monkeypatch, kind, readout):
    """Expected: as above, from a pass of the readout's own: spikes that are no bits, learnt decays, no readout."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("it went along")

    monkeypatch.setattr(generated_forward, "JoinedReadout", refuse)
    layers, x = chain(kind, readout=readout), packed(spikes(8, 5, 6, 0.2))
    found, expected = (result(engine, layers, x) for engine in ("auto", "reference"))
    assert_same(found, expected)


def test_windows_and_dense_events(monkeypatch):
    """Expected: as above; neither a state without its gradient nor more events than pay is in these loops."""
    layers = chain()
    for x, window in ((spikes(8, 5, 6, 0.2), 3), (spikes(8, 5, 6, 0.6), None)):
        found, expected = (result(engine, layers, packed(x), window=window) for engine in ("auto", "reference"))
        assert_same(found, expected)
    assert generated._arriving_events(layers[0], packed(spikes(8, 5, 6, 0.6))) is None


def test_threads_do_not_change_a_bit(monkeypatch):
    """Expected: equal bits of everything with one thread and with two, of two parts of the batch."""
    monkeypatch.setattr(arrays, "MIN_WORK", 1)
    layers, x = chain(learn="per_neuron"), packed(spikes(4, 130, 6, 0.2).float())
    for layer in layers:
        layer.float()
    runs = []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        runs.append(result("auto", layers, x))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(runs[0].output, runs[1].output, strict=True))
    assert all(torch.equal(each, runs[1].gradients[name]) for name, each in runs[0].gradients.items())
