"""The engine "triton": layers over time by Triton programs generated from their neurons' `step`, for CUDA devices.

A step is recorded as for the engine "generated", and written as a Triton program. torch computes a layer's current
of all steps; one program instance then computes a tile of samples and neurons over all steps.
"""

from collections.abc import Sequence
from typing import Any

import torch

from fastspiking.codegen.triton_build import is_interpreted, missing
from fastspiking.codegen.triton_source import TritonSource
from fastspiking.codegen.values import Untraceable
from fastspiking.errors import InputError
from fastspiking.generated import beyond_a_step, learns, try_out, write_source
from fastspiking.generated_forward import Inputs
from fastspiking.generated_run import run_layer, with_matrix
from fastspiking.layer import EngineLayer, LayerRun, Wanted, one_by_one, start
from fastspiking.layout import Layout
from fastspiking.signals.spikes import Signal, dense
from fastspiking.triton_run import PROGRAMS, Tile, TritonRun

ROOM_KIB = 128
"""Most recurrent weights that one program instance holds: 128 neurons of one current each in float64."""


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why no Triton program can run a layer on a device, or None if one can.

    The step is recorded on trial, with gradients and potentials.
    """
    return without_trial(layer, device) or try_out(layer, TritonSource)


def without_trial(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why no program can be generated, as far as it is known without recording the step, or None."""
    lacking = missing()
    if lacking is not None:
        return lacking
    if device.type != "cuda" and not is_interpreted():
        return (
            f"its programs run on a CUDA device, not on {device.type}: choose device=cuda, "
            f"or set TRITON_INTERPRET=1 to check them slowly without one"
        )
    return beyond_a_step(layer) or _recurrence_refusal(layer)


def _recurrence_refusal(layer: EngineLayer) -> str | None:
    if layer.recurrence != "all_to_all" or layer.recurrent is None:
        return None
    neurons = layer.recurrent.shape[-1]
    tile = Tile.of(neurons, recurrent=True)
    kib = layer.neuron.currents * tile.neurons**2 * layer.recurrent.dtype.itemsize // 1024
    if kib <= ROOM_KIB:
        return None
    return f"the weights that feed back its {neurons} neurons take {kib} KiB of one program, which holds {ROOM_KIB}"


def unroll(layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run a chain of layers over time; see `Engine.unroll`."""
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    """Run a layer by programs generated from its neurons' step."""
    inputs = Inputs(layer.current(dense(signal)))
    current: torch.Tensor = inputs.current  # type: ignore[assignment]
    shape, like = tuple(current.shape), current[0]
    try:
        source = write_source(layer, shape, like.dtype, wanted, learns=learns(layer, inputs), writer=TritonSource)
    except Untraceable as reason:
        raise InputError(f"engine=triton: layer '{layer.name}': {reason}; use engine=reference") from reason
    layout = Layout.of(like, leading=1)
    run = TritonRun(layer, source, layout, start(layer, like, state), shape, keep_u=wanted.u)
    if layer.recurrence == "all_to_all":
        inputs = with_matrix(layer, inputs, run.width)
    return run_layer(run, inputs, wanted.window, PROGRAMS)[0]
