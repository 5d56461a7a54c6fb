"""sgbench's engines on a task."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from benchmarks.contender import TorchContender
from benchmarks.workloads import BETA, KERNEL, POOL, THRESHOLD, Stage, Task
from fastspiking.choose import Engine
from fastspiking.event_convolution import Convolution, convolve
from fastspiking.signals.spikes import Signal, SparseSpikes
from sgbench.networks.base import DenseLayer
from sgbench.networks.pool import Image
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.surrogates.atan import Atan


class ConvLayer(nn.Module):
    """A convolution without padding, a maximum over 2x2 and neurons; images are flat, [C H W].

    `stage`: whose weights are copied; `neuron`: of this layer alone; `image`: channels, height and width of what
    arrives.
    """

    recurrence = "none"
    cut = False
    recurrent = None

    def __init__(self, stage: Stage, neuron: Neuron, image: Image) -> None:
        super().__init__()
        self.name = stage.name
        self.neuron = neuron
        self.image = image
        self.weight = nn.Parameter(stage.weight.clone())
        self.bias = nn.Parameter(stage.bias.clone())

    @property
    def image_out(self) -> Image:
        """Channels, height and width of what is handed on."""
        rows, columns = ((side - KERNEL + 1) // POOL for side in self.image[1:])
        return len(self.weight), rows, columns

    def synapses(self) -> None:
        """No matrix."""

    def current(self, x: Tensor) -> Tensor:
        """[..., C H W] to the same with other sizes."""
        images = x.reshape(-1, *self.image)
        return max_pool2d(conv2d(images, self.weight, self.bias), POOL).reshape(*x.shape[:-1], -1)

    def current_of_events(self, signal: Signal) -> Tensor:
        return convolve(signal, Convolution(self.image, self.weight, self.bias, pool=POOL))

    def feedback(self, s: Tensor) -> Tensor:
        return torch.zeros_like(s)


def build(task: Task, *, engine: str) -> TorchContender:
    """An engine on a task; sparse input is packed here, outside of what is timed."""
    layers = _layers(task)
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
    return TorchContender(task, forward, weights, rates, fused=True)


def _signal(task: Task) -> Signal:
    flat = task.x.flatten(2)
    return flat if task.sizes.density is None else SparseSpikes.of(flat)


def _layers(task: Task) -> list[ConvLayer | DenseLayer]:
    layers: list[ConvLayer | DenseLayer] = []
    image: Image = tuple(task.x.shape[2:])  # type: ignore[assignment]
    for stage in task.stages:
        neuron = _neuron(fires=stage.fires)
        if stage.kind == "conv":
            layer = ConvLayer(stage, neuron, image)
            layers.append(layer)
            image = layer.image_out
        else:
            layers.append(_dense_layer(stage, neuron))
    return layers


def _dense_layer(stage: Stage, neuron: Neuron) -> DenseLayer:
    n_out, n_in = stage.weight.shape
    recurrence = "none" if stage.recurrent is None else "all_to_all"
    layer = DenseLayer(stage.name, n_in, n_out, neuron, recurrence=recurrence, bias=True)
    layer = layer.to(stage.weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(stage.weight)
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
