"""The engine triton by Triton itself: by its interpreter, by its compiler for cards that are not there, on a card.

Expected: the engine `reference`. `make test-triton` runs all that needs no card: the interpreter is asked for by a
variable that Triton reads at its import, so interpreted and compiled tests run in processes of their own.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from fastspiking.choose import Engine
from fastspiking.codegen.build import is_interpreted, module_of
from fastspiking.codegen.program import record
from fastspiking.codegen.triton_source import TritonSource, triton_backward_arrays, triton_forward_arrays
from fastspiking.triton import Tile
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from tests.fastspiking.cases import (
    SHAPES,
    SINGLE,
    WIRINGS,
    Given,
    Wired,
    assert_same,
    catalogued,
    fires,
    neuron,
    packed,
    result,
    spikes,
)
from tests.fastspiking.test_generated import ALL, learning
from tests.fastspiking.triton_cases import X, both
from tests.run.tiny import WORDS
from tests.search_engines.lock_step import alone, compare
from tests.search_engines.runs import on

pytestmark = pytest.mark.slow
IS_THERE = find_spec("triton") is not None
interpreted = pytest.mark.skipif(
    not (IS_THERE and is_interpreted()), reason="needs triton and TRITON_INTERPRET=1; make test-triton has both"
)
compiled = pytest.mark.skipif(
    not IS_THERE or is_interpreted(), reason="needs triton without TRITON_INTERPRET; make test-triton has both"
)
SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024}
"""Of one program on an A100 and on an H100 (CUDA C++ Programming Guide, table of compute capabilities)."""


# --- interpreted


@interpreted
@pytest.mark.parametrize("kind", ALL)
def test_every_neuron_with_every_wiring(kind):
    """Expected: spikes equal; potentials, states, gradients of inputs, weights and learnt numbers to 1e-12."""
    for wiring in WIRINGS if fires(kind) else WIRINGS[:1]:
        found, expected = both(Wired(6, learning(kind), 3, gain=3.0, wiring=wiring))
        assert expected.output[0].any()
        assert_same(found, expected, f"{kind} {wiring}")


@interpreted
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("reset_gradient", RESET_GRADIENTS)
def test_every_reset(reset, reset_gradient):
    """Expected: as above, of a neuron whose potential is not linear and of one that is."""
    for kind in ("eif", "leaky"):
        made = learning(kind, reset=reset, reset_gradient=reset_gradient)
        assert_same(*both(Wired(6, made, 3, gain=3.0)), kind)


@interpreted
@pytest.mark.parametrize("shape", SHAPES)
def test_every_surrogate(shape):
    """Expected: as above; those that mix neurons are refused, as by the engine generated."""
    made = catalogued(shape)
    reset = "zero" if made.output == "binary" else "subtract"
    layer = Wired(6, neuron("qif", 3, surrogate=made, reset=reset), 3, gain=3.0)
    if not made.elementwise:
        for engine in ("triton", "generated"):
            with pytest.raises(InputError, match=r"no rule|mixes samples"):
                Engine(engine).pick(layer)
        return
    assert_same(*both(layer), shape)


@interpreted
@pytest.mark.parametrize("kind", ALL)
def test_single_precision(kind):
    """Expected: spikes equal, the rest to 1e-5 of the reference in the same precision."""
    for wiring in (WIRINGS[0], WIRINGS[3]) if fires(kind) else WIRINGS[:1]:
        layer = Wired(6, learning(kind), 3, gain=3.0, wiring=wiring).float()
        assert_same(*both(layer, X.float()), kind, rtol=SINGLE)


@interpreted
@pytest.mark.parametrize(("steps", "batch", "size"), [(1, 1, 1), (3, 1, 65), (2, 33, 3), (2, 17, 33)])
def test_sizes(steps, batch, size):
    """Expected: as above; one step, one sample, one neuron, several tiles, the last of them part empty."""
    for wiring in (WIRINGS[0], WIRINGS[3]):
        layer = Wired(6, learning("adex", size), size, gain=3.0, wiring=wiring)
        assert_same(*both(layer, spikes(steps, batch, 6, 0.5)), (wiring, size))


@interpreted
def test_a_chain_by_events_windows_and_images():
    """Expected: as above; packed input, gradient over three steps alone, features [C, H, W]."""
    layers = [
        Wired(6, learning("leaky", 5), 5, gain=3.0),
        Wired(5, learning("alif", 4), 4, gain=3.0, wiring=WIRINGS[3], name="hidden1"),
        Wired(4, neuron("leaky_readout", 3), 3, gain=1.0, name="readout"),
    ]
    assert_same(*both(layers))
    assert_same(*both(layers, window=3))
    assert_same(result("triton", layers, packed(X)), result("reference", layers, packed(X)))
    current = 3 * spikes(4, 2, 24, 0.5).reshape(4, 2, 2, 3, 4)
    assert_same(*both(Given(neuron("leaky", 1)), current))


@interpreted
@pytest.mark.parametrize("recurrence", ["none", "all_to_all"])
def test_a_training(recurrence, tmp_path):
    """Expected: losses, weights and scores of a training asked for by words, batch by batch, of the reference."""
    words = (*WORDS, "protocol.precision=float64", "protocol.epochs=1", f"network.recurrence={recurrence}")
    spec = compose([*words, f"paths.runs_dir={tmp_path}", "engine=triton"])
    assert spec.engine == "triton"
    assert compare([alone(on(spec, "reference"))], alone(spec)) is None


# --- compiled


def build(kind: str, way: str, capability: int, dtype: torch.dtype, wiring: tuple[str, str], size: int) -> Any:
    """A program of a neuron's step, for cards of a compute capability."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    layer = Wired(6, learning(kind, size), size, gain=3.0, wiring=wiring).to(dtype)
    program = record(layer, (2, size), dtype, keep_u=True, learns=True)
    source = TritonSource(program, dtype, size)
    tile = Tile.of(size, recurrent=wiring[0] == "all_to_all")
    is_forward = way == "forward"
    arrays = triton_forward_arrays(program) if is_forward else triton_backward_arrays(program)
    arrays += ["rows", "numbers"] if is_forward else ["rows", "sums", "numbers"]
    fixed: dict[str, Any] = {"SAMPLES": tile.samples, "NEURONS": tile.neurons}
    fixed |= {} if is_forward else {"SENDS_BACK": True}
    number = {torch.float32: "*fp32", torch.float64: "*fp64"}[dtype]
    known = dict.fromkeys(arrays, number) | dict.fromkeys(fixed, "constexpr")
    function = getattr(module_of(source.text), way)
    signature = {name: known.get(name, "i32") for name in function.arg_names}
    options = {"num_warps": tile.warps, "num_stages": 1, "enable_fp_fusion": not is_forward}
    ast = ASTSource(function, signature, fixed)
    return triton.compile(ast, target=GPUTarget("cuda", capability, 32), options=options)


@compiled
@pytest.mark.parametrize("capability", SHARED_BYTES)
@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize(
    ("kind", "dtype", "wiring", "size"),
    [
        ("leaky", torch.float32, WIRINGS[0], 256),
        ("adlif", torch.float64, WIRINGS[1], 256),
        ("escape_noise", torch.float32, WIRINGS[0], 20),
        ("leaky", torch.float32, WIRINGS[3], 128),
        ("alif", torch.float64, WIRINGS[3], 128),
        ("spiking_lstm", torch.float32, WIRINGS[3], 64),
    ],
)
def test_compiled_without_a_card(kind, dtype, wiring, size, way, capability):
    """Expected: PTX for the card's architecture and machine code of its assembler, within its shared memory.

    A step forward has no fused product and sum in its own arithmetic where it has no product of tiles.
    """
    made = build(kind, way, capability, dtype, wiring, size)
    assert f".target sm_{capability}" in made.asm["ptx"]
    assert made.asm["cubin"][:4] == b"\x7fELF"
    assert made.metadata.shared <= SHARED_BYTES[capability]
    if (kind, way, wiring) == ("leaky", "forward", WIRINGS[0]):
        assert "fma." not in made.asm["ptx"]


@compiled
@pytest.mark.parametrize("kind", ALL)
def test_every_neuron_compiles(kind):
    """Expected: machine code of both ways for an A100."""
    for way in ("forward", "backward"):
        assert build(kind, way, 80, torch.float32, WIRINGS[0], 40).asm["cubin"]


@compiled
@pytest.mark.parametrize("shape", SHAPES)
def test_every_surrogate_compiles(shape):
    """Expected: PTX of the way back, where its slope is."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    made = catalogued(shape)
    if not made.elementwise:
        return
    layer = Given(neuron("leaky", 3, surrogate=made)).float()
    program = record(layer, (2, 3), torch.float32, keep_u=False, learns=True)
    function = module_of(TritonSource(program, torch.float32, 3).text).backward
    fixed = {"SENDS_BACK": True, "SAMPLES": 4, "NEURONS": 32}
    arrays = {*triton_backward_arrays(program), "rows", "sums", "numbers"}
    signature = {
        name: "*fp32" if name in arrays else "constexpr" if name in fixed else "i32" for name in function.arg_names
    }
    ast = ASTSource(function, signature, fixed)
    options = {"enable_fp_fusion": True}  # as in the way back of a run; some versions warn where nothing is said
    assert triton.compile(ast, target=GPUTarget("cuda", 80, 32), options=options).asm["ptx"]


# --- on a card


@compiled
@pytest.mark.gpu
@pytest.mark.parametrize("kind", ALL)
def test_every_neuron_on_a_card(kind):
    """Expected: as the reference on the same card, in float64."""
    assert os.environ.get("TRITON_INTERPRET") != "1"
    for wiring in (WIRINGS[0], WIRINGS[3]) if fires(kind) else WIRINGS[:1]:
        layer = Wired(6, learning(kind), 3, gain=3.0, wiring=wiring).cuda()
        found = []
        for engine in ("triton", "reference"):
            layer.zero_grad()
            run = Engine(engine, "cuda").unroll([layer], X.cuda(), keep_u=True)[0]
            (run.output.square().sum() + run.u.square().sum()).backward()
            found.append((run.output.detach(), layer.weight.grad.clone()))
        assert torch.equal(found[0][0] > 0, found[1][0] > 0)
        torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)
