"""Spike-element-wise residual networks (SEW ResNet)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from fastspiking.layer import LayerRun
from fastspiking.signals.spikes import Signal, dense
from fastspiking.signals.trajectory import NOTHING, POTENTIAL, SPIKES, Keep, Trajectory
from sgbench.errors import InputError, require_choice, require_counts, require_flag
from sgbench.networks.base import LayerStates, MakeNeuron, Network, Provided, Source, readout_layer, source_of
from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer
from sgbench.networks.pool import Image, Pool, image_of

CONNECTS = ("add", "and", "iand")


class ResidualBlock(NamedTuple):
    """Holds the indices of a block's layers in the network."""

    name: str
    first: int
    second: int
    shortcut: int | None  # None if the block's input is used in place of a shortcut layer


class SpikingResnet(Network):
    r"""Wires residual blocks that join spikes elementwise (SEW ResNet).

    .. math:: O[t] = g(A[t], S[t]), \quad A = \text{two convolutional layers in a row}, \qquad
        g = \begin{cases} A + S & \text{add} \\ A S & \text{and} \\ (1 - A) S & \text{iand} \end{cases}

    for the output O of a block. S is the block's input, or the spikes of a layer of 1 x 1 convolutions if the block
    shrinks images or changes channels. A layer of 3 x 3 convolutions comes before the blocks; each stage after the
    first halves the sides of the images. The readout's input is the mean over all pixels. If A is 0 (add and iand)
    or 1 (and) a block is the identity, at any depth. The output of `add` is a whole number, which multiplies the
    weights of the next layer.

    Args:
        provided: parts of the run to build from.
        image: channels, height and width of the input; None for those of the data set, or one square channel.
        channels: number of channels of each stage.
        blocks: number of blocks of each stage.
        connect: the function g, "add", "and" or "iand".
        bias: whether layers have biases.

    Raises:
        InputError: no stage, an image of another size than the input, a value out of range, or "and" or "iand" with
            spikes other than 0 and 1.

    Source: Fang, Yu, Chen, Huang, Masquelier & Tian 2021, NeurIPS, arXiv:2102.04159; with normalisation=tdbn
    a block is SpikingJelly's, there with batch normalisation as torch has it (tested).
    """

    by_layers = True

    def __init__(
        self,
        provided: Provided,
        *,
        image: Sequence[int] | None,
        channels: Sequence[int],
        blocks: Sequence[int],
        connect: str,
        bias: bool,
    ) -> None:
        super().__init__()
        self.connect = require_choice("network.connect", connect, CONNECTS)
        require_flag("network.bias", bias)
        stages = _pair_stages(channels, blocks)
        self.layers = nn.ModuleList()
        self.blocks: list[ResidualBlock] = []
        self._options = {"recurrence": "none", "recurrence_gradient": "full", "bias": bias}
        make_neuron, shape = provided.make_neuron, image_of(image, provided.n_inputs, provided.data_image)
        shape = self._add("stem", shape, stages[0][0], make_neuron).image_out
        for stage, (count, repeats) in enumerate(stages):
            for repeat in range(repeats):
                stride = 2 if stage > 0 and repeat == 0 else 1  # each stage but the first halves the images
                shape = self._add_block(shape, count, stride, make_neuron)
        readout = readout_layer(shape[0], provided, bias=bias)
        readout.pool_in = Pool("average", shape, *shape[1:])
        self.set_up([*self.layers, readout], provided)
        self._check_spikes()

    def _add(
        self, name: str, shape: Image, channels: int, make: MakeNeuron, *, side: int = 3, stride: int = 1
    ) -> ConvLayer:
        """Append a convolutional layer with kernels of `side` pixels to the network, and return it."""
        layer = ConvLayer(name, shape, channels, make, kernel_size=side, stride=stride, **self._options)  # type: ignore[arg-type]
        self.layers.append(layer)
        return layer

    def _add_block(self, shape: Image, channels: int, stride: int, make: MakeNeuron) -> Image:
        """Append the layers of one block to the network; return the image size after it."""
        name, first_index = f"block{len(self.blocks)}", len(self.layers)
        first = self._add(f"{name}_first", shape, channels, make, stride=stride)
        second = self._add(f"{name}_second", first.image_out, channels, make)
        second.residual_additions = second.neurons
        shortcut = None
        if second.image_out != shape:
            self._add(f"{name}_shortcut", shape, channels, make, side=1, stride=stride)
            shortcut = first_index + 2
        self.blocks.append(ResidualBlock(name, first_index, first_index + 1, shortcut))
        return second.image_out

    def _check_spikes(self) -> None:
        """Raise an `InputError` if blocks multiply spikes that are not 0 or 1."""
        sends = {layer.neuron.sends for layer in self.hidden_layers}
        if self.connect != "add" and sends != {"binary"}:
            raise InputError(
                f"network.connect={self.connect}: joins spikes of 0 and 1, the neurons send "
                f"{' and '.join(sorted(sends))}; use network.connect=add"
            )

    def join(self, residual: Tensor, straight: Tensor) -> Tensor:
        """Compute g(A, S) elementwise, from the residual spikes A and the straight spikes S."""
        if self.connect == "add":
            return residual + straight
        return residual * straight if self.connect == "and" else (1 - residual) * straight

    def unroll(
        self, x: Signal, lengths: Tensor, state: LayerStates = None, keep: Keep = NOTHING, *, window: int | None = None
    ) -> Trajectory:
        """Run all blocks over all time steps; see `Network.unroll`."""
        self.begin_pass(lengths, x.shape[0])
        states = [None] * len(self.layers) if state is None else list(state)
        runs: list[LayerRun] = []

        def run_layer(index: int, signal: Signal) -> Tensor:
            """Run one layer, keep its run, and return its output."""
            layer: Any = self.layers[index]
            (layer_run,) = self.engine.unroll([layer], signal, [states[index]], keep_u=POTENTIAL in keep, window=window)
            runs.append(layer_run)
            return layer_run.output  # type: ignore[return-value]

        signal = run_layer(0, x)
        for block in self.blocks:
            residual = run_layer(block.second, run_layer(block.first, signal))
            straight = signal if block.shortcut is None else run_layer(block.shortcut, signal)
            signal = self.join(residual, straight)
        run_layer(len(self.layers) - 1, signal)
        fires = [layer.neuron.output == "binary" for layer in self.layers]  # type: ignore[union-attr]
        spikes = [run.output for run, spiking in zip(runs, fires, strict=True) if spiking and SPIKES in keep]
        return Trajectory(
            output=runs[-1].output,  # type: ignore[arg-type]
            lengths=lengths,
            spikes=tuple(spikes),  # type: ignore[arg-type]
            u=tuple(run.u for run in runs if run.u is not None),
            state=tuple(run.state for run in runs),
        )

    @property
    def spike_receivers(self) -> list[Layer]:
        """Return the readout alone: dropout inside a block would destroy its identity."""
        return [self.readout]

    def sources(self, input_kind: Literal["binary", "real"]) -> list[Source]:
        """Return the source of each layer's input, in the order of the layers: block by block, then the readout."""
        layers: list[Any] = list(self.layers)
        sources = [Source("input", input_kind)]
        source = source_of(layers[0])
        for block in self.blocks:
            sources += [source, source_of(layers[block.first])]
            if block.shortcut is not None:
                sources.append(source)
            source = Source(block.name, "real" if self.connect == "add" else "binary")
        return [*sources, source]

    def received(self, x: Signal, sent: Sequence[Tensor | None]) -> list[Signal | None]:
        """Return the input of each layer; outputs of blocks are computed again from the layers' spikes."""
        spikes = [None if signal is None else dense(signal) for signal in sent]
        received: list[Signal | None] = [x]
        signal = spikes[0]
        for block in self.blocks:
            received += [signal, spikes[block.first]]
            straight = signal
            if block.shortcut is not None:
                received.append(signal)
                straight = spikes[block.shortcut]
            signal = self.join(spikes[block.second], straight)  # type: ignore[arg-type]
        return [*received, signal]


def _pair_stages(channels: object, blocks: object) -> list[tuple[int, int]]:
    """Return the number of channels and of blocks of each stage."""
    wanted = "a list such as [16, 32], one for each stage,"
    counts = require_counts("network.channels", channels, wanted)
    repeats = require_counts("network.blocks", blocks, wanted)
    if len(counts) != len(repeats):
        raise InputError(
            f"network.blocks={repeats}: {len(counts)} stages have channels; give so many numbers of blocks"
        )
    return list(zip(counts, repeats, strict=True))
