"""Threads do not change a bit, and memory does not grow."""

import gc
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from fastspiking import arrays, numba_events, numba_steps
from fastspiking.choose import Engine
from sgbench.training.memory import keep_freed_memory
from tests.fastspiking.cases import (
    FAST,
    NEURONS,
    WIRINGS,
    Result,
    Wired,
    assert_same,
    fires,
    functional,
    gain_of,
    neuron,
    packed,
    result,
    spikes,
)
from tests.thinned import thinned

KINDS = [kind for kind in NEURONS if fires(kind)]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """As many threads afterwards as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def network(kind: str, wiring: tuple[str, str], inputs: int, width: int, **changes: object) -> list[Wired]:
    """Two spiking layers and a readout with many small weights."""
    scale = (6 / inputs) ** 0.5
    return [
        Wired(inputs, neuron(kind, width, **changes), width, gain=scale * gain_of(kind), wiring=wiring),
        Wired(width, neuron("leaky", width), width, gain=scale * gain_of("leaky"), wiring=wiring, name="hidden1"),
        Wired(width, neuron("leaky_readout", 20), 20, gain=0.3, name="readout"),
    ]


def assert_equal_bits(one: Result, other: Result, where: object) -> None:
    """All outputs, potentials, last states and gradients."""
    for ours, theirs in zip(
        [*one.output, *one.u, *itertools.chain(*one.state)],
        [*other.output, *other.u, *itertools.chain(*other.state)],
        strict=True,
    ):
        assert (ours is None) == (theirs is None), where
        assert ours is None or torch.equal(ours, theirs), where
    for name, gradient in one.gradients.items():
        assert torch.equal(gradient, other.gradients[name]), f"{where}: {name}"


def threaded(monkeypatch: pytest.MonkeyPatch, least: int) -> list[tuple[str, int]]:
    """Note how many parts each call of a kernel is made in."""
    calls = []
    original = arrays.in_parts

    def noted(kernel: object, count: int, entries: int, *arguments: object) -> None:
        parts = min(torch.get_num_threads(), count)
        calls.append((kernel.__name__, 1 if entries < least else parts))
        original(kernel, count, entries, *arguments)

    for module in (numba_steps, numba_events):
        monkeypatch.setattr(module, "in_parts", noted)
    return calls


@pytest.mark.one_in(8)
@pytest.mark.parametrize("wiring", thinned(WIRINGS, 3), ids="/".join)
@pytest.mark.parametrize("kind", KINDS)
def test_threads_do_not_change_a_bit(kind, wiring, monkeypatch):
    """Expected: equal bits with 1, 2, 3 and 5 threads; all kernels in as many parts, whose borders are uneven."""
    monkeypatch.setattr(arrays, "MIN_WORK", 1)
    layers = network(kind, wiring, 17, 70, reset="zero", reset_gradient="attached", learn="per_neuron")
    x = packed(spikes(12, 7, 17, 0.15))
    torch.set_num_threads(1)
    expected = result("fused", layers, x)
    calls = threaded(monkeypatch, 1)
    for threads in (2, 3, 5):
        torch.set_num_threads(threads)
        calls.clear()
        assert_equal_bits(result("fused", layers, x), expected, f"{threads} threads")
        assert {name for name, parts in calls if parts == threads} >= {"advance", "backward_chunk", "gather"}
    assert_same(expected, result("reference", layers, x.dense()))


@pytest.mark.slow
def test_threads_do_not_change_a_bit_at_real_sizes():
    """Expected: equal bits with 1, 2 and 3 threads above the least work at which threads are used."""
    layers = [layer.float() for layer in network("leaky", WIRINGS[0], 200, 256)]
    x = packed(spikes(40, 64, 200, 0.1).float())
    assert arrays.MIN_WORK < 64 * 256 * 40
    torch.set_num_threads(1)
    expected = result("fused", layers, x)
    assert 0.01 < expected.output[0].mean() < 0.5
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert_equal_bits(result("fused", layers, x), expected, f"{threads} threads")


def test_small_work_stays_on_one_thread(monkeypatch):
    """Must differ: below the limit no thread is started."""
    torch.set_num_threads(3)

    def no_pool(*_: object) -> None:
        raise AssertionError("a pool was made")

    monkeypatch.setattr(arrays, "_pool", no_pool)
    layers = network("leaky", WIRINGS[1], 6, 5)
    result("fused", layers, packed(spikes(5, 3, 6)))
    monkeypatch.setattr(arrays, "MIN_WORK", 1)
    with pytest.raises(AssertionError, match="a pool was made"):
        result("fused", layers, packed(spikes(5, 3, 6)))


# --- memory


def living() -> int:
    """Bytes of all tensors that anything still refers to."""
    storages = {}
    for each in gc.get_objects():
        kind = type(each)  # isinstance would wake objects that load modules when looked at
        if issubclass(kind, torch.Tensor) and not issubclass(kind, FakeTensor):
            storage = each.untyped_storage()
            if storage.device.type != "meta":  # what torch.compile has traced with holds no memory
                storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


@pytest.fixture
def nothing_before():
    """Leave out of `living` what other tests keep, and may let go of in the middle of this one."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.parametrize("engine", FAST)
def test_a_thousand_steps_of_training_leave_nothing(engine, nothing_before):
    """Expected: not one byte of tensors more after 1000 steps of training than after 50.

    Half of the steps run without a backward pass, or with one that is kept for a second.
    """
    layers = network("leaky", WIRINGS[3], 6, 5)
    parameters = [weight for layer in layers for weight in layer.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=1e-6)
    x = packed(spikes(4, 2, 6))
    sizes = []
    for step in range(1, 1001):
        runs = Engine(engine).unroll(layers, x, keep_u=True)
        if step % 4 != 1:
            loss = functional(runs, ("spikes",))
            loss.backward(retain_graph=step % 4 == 2)
            if step % 4 == 2:
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            del loss
        del runs
        if step in (50, 1000):
            gc.collect()
            sizes.append(living())
    assert sizes[0] == sizes[1]


def test_a_pass_fits_the_memory_that_the_pass_before_has_freed():
    """Expected: the address of before, although what lies behind it in memory is still in use."""
    if not keep_freed_memory():
        pytest.skip("the C library is not glibc, whose allocator this is about")
    like, shape = torch.empty(0), (20, 1024, 256)
    room = arrays.vacant(like, shape)
    address = room.data_ptr()
    held = [np.empty(24 << 20, np.uint8)]  # never written; the first of them may fill holes before the room
    while held[-1].ctypes.data < address:
        held.append(np.empty(24 << 20, np.uint8))
    for _ in range(3):
        del room
        room = arrays.vacant(like, shape)
        assert room.data_ptr() == address
    assert held[-1].ctypes.data > address


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 5, 7), (1,), (0, 4)])
def test_vacant_memory_is_an_aligned_tensor(dtype, shape):
    """Expected: what `new_empty` gives; on another device than the CPU it is `new_empty`."""
    like = torch.empty(0, dtype=dtype)
    room = arrays.vacant(like, shape)
    assert (room.shape, room.dtype, room.stride()) == (shape, dtype, like.new_empty(shape).stride())
    assert room.numel() == 0 or room.data_ptr() % arrays.ALIGNED == 0
    assert arrays.vacant(like.to("meta"), shape).device.type == "meta"


@pytest.mark.one_in(4)
@pytest.mark.parametrize("engine", FAST)
def test_a_run_is_freed_with_its_outputs(engine):
    """Expected: as many bytes as before, without the collector of cycles: nothing refers to itself."""
    layers = network("alif", WIRINGS[3], 6, 5, learn="shared")
    result(engine, layers, packed(spikes(30, 4, 6)))
    for layer in layers:
        layer.zero_grad()
    x = packed(spikes(30, 4, 6))
    gc.collect()
    before = living()
    gc.disable()
    try:
        runs = Engine(engine).unroll(layers, x, keep_u=True)
        functional(runs).backward()
        for layer in layers:
            layer.zero_grad()
        del runs
        assert living() == before
    finally:
        gc.enable()
