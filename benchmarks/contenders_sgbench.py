"""sgbench's engines on a task."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from benchmarks.contender import TorchContender
from benchmarks.workloads import BETA, CHANNELS, POOL, THRESHOLD, Stage, Task
from sgbench.engine.choose import Engine
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.signals.spikes import Signal, SparseSpikes
from sgbench.surrogates.atan import Atan


class ConvLayer(nn.Module):
    """A convolution, a maximum over 2x2 and neurons; channels lie last in memory, where both are faster.

    Args:
        stage: whose weights are copied.
        neuron: of this layer alone.
    """

    recurrence = "none"
    cut = False
    recurrent = None

    def __init__(self, stage: Stage, neuron: Neuron) -> None:
        super().__init__()
        self.name = stage.name
        self.neuron = neuron
        self.weight = nn.Parameter(stage.weight.clone(memory_format=torch.channels_last))
        self.bias = nn.Parameter(stage.bias.clone())

    def synapses(self) -> None:
        """No matrix."""

    def current(self, x: Tensor) -> Tensor:
        """[..., C, H, W] to the same with other sizes."""
        images = x.reshape(-1, *x.shape[-3:])
        return max_pool2d(conv2d(images, self.weight, self.bias), POOL).unflatten(0, x.shape[:-3])

    def feedback(self, s: Tensor) -> Tensor:
        """No recurrent current."""
        return torch.zeros_like(s)


class FlatLayer(DenseLayer):
    """A dense layer on images; its columns are in the order [H, W, C] in which they lie in memory."""

    def current(self, x: Tensor) -> Tensor:
        """[..., C, H, W] to [..., N]."""
        return super().current(x.movedim(-3, -1).flatten(-3))


def columns_by_place(weight: Tensor) -> Tensor:
    """[N, C * H * W] to [N, H * W * C]."""
    return weight.unflatten(1, (CHANNELS[-1], -1)).movedim(1, 2).flatten(1)


def columns_by_channel(weight: Tensor) -> Tensor:
    """The way back."""
    return weight.unflatten(1, (-1, CHANNELS[-1])).movedim(1, 2).flatten(1)


def build(task: Task, *, engine: str) -> TorchContender:
    """An engine on a task; sparse input is packed here, outside of what is timed."""
    layers = [_layer(stage, on_images=task.x.dim() > 3) for stage in task.stages]  # noqa: PLR2004 - T, B, N
    runner = Engine(engine)
    signal = _signal(task)

    def forward() -> Tensor:
        return runner.unroll(layers, signal, keep_spikes=False)[-1].output  # type: ignore[return-value]

    def rates() -> list[float]:
        with torch.no_grad():
            runs = runner.unroll(layers, signal)
        return [
            run.output.mean().item()  # type: ignore[union-attr]
            for run, stage in zip(runs, task.stages, strict=True)
            if stage.fires
        ]

    weights = {}
    for layer in layers:
        weights |= {f"{layer.name}.weight": layer.weight, f"{layer.name}.bias": layer.bias}
        if layer.recurrent is not None:
            weights[f"{layer.name}.recurrent"] = layer.recurrent
    flat = [f"{layer.name}.weight" for layer in layers if isinstance(layer, FlatLayer)]
    restored = dict.fromkeys(flat, columns_by_channel)
    return TorchContender(task, forward, weights, rates, fused=True, restored=restored)


def _signal(task: Task) -> Signal:
    if task.x.dim() > 3:  # noqa: PLR2004 - T, B, N
        return (
            task.x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, task.x.shape[:2])
        )
    return task.x if task.sizes.density is None else SparseSpikes.of(task.x)


def _layer(stage: Stage, *, on_images: bool) -> ConvLayer | DenseLayer:
    neuron = _neuron(fires=stage.fires)
    if stage.kind == "conv":
        return ConvLayer(stage, neuron)
    n_out, n_in = stage.weight.shape
    recurrence = "none" if stage.recurrent is None else "all_to_all"
    kind = FlatLayer if on_images else DenseLayer
    layer = kind(stage.name, n_in, n_out, neuron, recurrence=recurrence, bias=True).to(stage.weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(columns_by_place(stage.weight) if on_images else stage.weight)
        layer.bias.copy_(stage.bias)  # type: ignore[union-attr]
        if stage.recurrent is not None:
            layer.recurrent.copy_(stage.recurrent)  # type: ignore[union-attr]
    return layer


def _neuron(*, fires: bool) -> Neuron:
    if not fires:
        return LeakyReadout(beta=BETA, learn_beta="none")
    return Leaky(
        Atan(alpha=2.0, width_fwhm=None, normalisation="raw", scale=1.0),
        beta=BETA,
        threshold=THRESHOLD,
        reset="subtract",
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
