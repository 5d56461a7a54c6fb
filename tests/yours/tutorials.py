"""The networks of snnTorch's tutorials, docs/examples and example notebooks, small and anew.

Each has the layers, options and loop of the page that its docstring names. Where the loop over time is outside of the
module there, `sgbench.unroll` runs it here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen, surrogate, utils
from snntorch.functional.quant import state_quant
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as authors write it

from sgbench.yours.unroll import unroll
from tests.yours.as_written import B, C, H, Made, N, T, dense, events, film, image, over_time, tutorial, written

TUTORIALS: dict[str, Callable[[], Made]] = {}
LEAKY: Any = snn.Leaky  # their signatures say float or bool for tensors and numbers
LAPICQUE: Any = snn.Lapicque
QUANT: Any = state_quant


def page(make: Callable[[], Made]) -> Callable[[], Made]:
    """Register a network of snnTorch's pages."""
    TUTORIALS[make.__name__] = make
    return make


def chain(*layers: nn.Module) -> nn.Module:
    """A chain of layers of one step, with neurons that keep their states."""
    return nn.Sequential(*layers)


def hidden(*, output: bool = False, **options: Any) -> nn.Module:
    """Leaky neurons that keep their states."""
    return snn.Leaky(**{"beta": 0.9, "threshold": 0.3, **options}, init_hidden=True, output=output)


# --- tutorials


@page
def tutorial_3_spikes_of_one_sample() -> Made:
    """Tutorial 3: a feed-forward network of spikes by `rate_conv`, without a batch of more than one."""

    def forward(self: Any, spk_in: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        mem2_rec, spk1_rec, spk2_rec = [], [], []
        for step in range(T):
            cur1 = self.fc1(spk_in[step])
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            mem2_rec.append(mem2)
            spk1_rec.append(spk1)
            spk2_rec.append(spk2)
        return torch.stack(mem2_rec), torch.stack(spk1_rec), torch.stack(spk2_rec)

    return written(forward, **dense()), spikegen.rate_conv(torch.rand(T, N)).unsqueeze(1)


@page
def tutorial_4_alpha() -> Made:
    """Tutorial 4 and docs/examples, spike response model: Alpha neurons in both layers."""

    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        exc1, inh1, mem1 = self.lif1.init_alpha()
        exc2, inh2, mem2 = self.lif2.init_alpha()
        spk2_rec, mem2_rec = [], []
        for _ in range(T):
            spk1, exc1, inh1, mem1 = self.lif1(self.fc1(x), exc1, inh1, mem1)
            spk2, exc2, inh2, mem2 = self.lif2(self.fc2(spk1), exc2, inh2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)

    lif1, lif2 = snn.Alpha(0.9, 0.8, threshold=0.1), snn.Alpha(0.9, 0.8, threshold=0.1)
    return written(forward, fc1=nn.Linear(N, H), lif1=lif1, fc2=nn.Linear(H, C), lif2=lif2), image()


@page
def tutorial_5_static_image() -> Made:
    """Tutorial 5, and the one for IPUs."""
    return written(tutorial, **dense()), image()


@page
def tutorial_6_convolutions() -> Made:
    """Tutorial 6: two convolutions with pooled currents, the same image at each step."""

    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spk3_rec, mem3_rec = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(F.max_pool2d(self.conv1(x), 2), mem1)
            spk2, mem2 = self.lif2(F.max_pool2d(self.conv2(spk1), 2), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.view(B, -1)), mem3)
            spk3_rec.append(spk3)
            mem3_rec.append(mem3)
        return torch.stack(spk3_rec), torch.stack(mem3_rec)

    grad = surrogate.fast_sigmoid(slope=25)
    lifs = {f"lif{at}": snn.Leaky(beta=0.5, spike_grad=grad, threshold=0.3) for at in (1, 2, 3)}
    parts = {"conv1": nn.Conv2d(2, 4, 3), "conv2": nn.Conv2d(4, 6, 2), "fc1": nn.Linear(6, C)}
    return written(forward, **parts, **lifs), torch.rand(B, 2, 8, 8)


@page
def tutorial_6_chain() -> Made:
    """Tutorial 6 and the quickstart: the same as a chain, with the loop outside."""
    grad = surrogate.fast_sigmoid(slope=25)
    options = {"beta": 0.5, "spike_grad": grad}
    net = chain(
        nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), hidden(**options),
        nn.Conv2d(4, 6, 2), nn.MaxPool2d(2), hidden(**options),
        nn.Flatten(), nn.Linear(6, C), hidden(**options, output=True),
    )  # fmt: skip
    return unroll(net, T), torch.rand(B, 2, 8, 8)


@page
def tutorial_7_events() -> Made:
    """Tutorial 7 and ST-MNIST: convolutions on events, with the loop outside."""
    grad = surrogate.atan()
    net = chain(
        nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), hidden(spike_grad=grad),
        nn.Conv2d(4, 6, 2), hidden(spike_grad=grad), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6, C), hidden(spike_grad=grad, output=True),
    )  # fmt: skip
    return unroll(net), film()


@page
def tutorial_of_population_coding() -> Made:
    """Population coding: a chain on a static image, with more outputs than classes."""
    net = chain(nn.Linear(N, H), hidden(), nn.Linear(H, 4 * C), hidden(output=True))
    return unroll(net, T), image()


@page
def tutorial_of_regression_1() -> Made:
    """Regression, part I: random betas and thresholds, and one module of neurons that is called for two layers."""

    def forward(self: Any, x: Tensor) -> Tensor:
        mem_1, mem_2, mem_3 = self.lif_in.init_leaky(), self.lif_hidden.init_leaky(), self.li_out.init_leaky()
        mem_3_rec = []
        for step in range(self.timesteps):
            spk_in, mem_1 = self.lif_in(self.fc_in(x[step, :, :]), mem_1)
            spk_hidden, mem_2 = self.li_out(self.fc_hidden(spk_in), mem_2)
            _, mem_3 = self.li_out(self.fc_out(spk_hidden), mem_3)
            mem_3_rec.append(mem_3)
        return torch.stack(mem_3_rec)

    grad = surrogate.fast_sigmoid()
    neurons = {
        name: LEAKY(beta=torch.rand(H), threshold=torch.rand(H), learn_beta=True, spike_grad=grad)
        for name in ("lif_in", "lif_hidden")
    }
    li_out = snn.Leaky(beta=torch.rand(1), threshold=1.0, learn_beta=True, spike_grad=grad, reset_mechanism="none")
    layers = {"fc_in": nn.Linear(1, H), "fc_hidden": nn.Linear(H, H), "fc_out": nn.Linear(H, 1)}
    return written(forward, timesteps=T, **layers, **neurons, li_out=li_out), torch.rand(T, 1, 1)


@page
def tutorial_of_regression_2() -> Made:
    """Regression, part II: RLeaky in both layers, the same image at each step."""

    def forward(self: Any, x: Tensor) -> Tensor:
        spk1, mem1 = self.rlif1.init_rleaky()
        spk2, mem2 = self.rlif2.init_rleaky()
        spk_recording = []
        for _ in range(self.timesteps):
            spk1, mem1 = self.rlif1(self.fc1(x), spk1, mem1)
            spk2, mem2 = self.rlif2(self.fc2(spk1), spk2, mem2)
            spk_recording.append(spk2)
        return torch.stack(spk_recording)

    rlif1 = snn.RLeaky(beta=0.9, linear_features=H, threshold=0.4)
    rlif2 = snn.RLeaky(beta=0.9, linear_features=C, threshold=0.4)
    return written(forward, timesteps=T, fc1=nn.Linear(N, H), rlif1=rlif1, fc2=nn.Linear(H, C), rlif2=rlif2), image()


@page
def tutorial_of_exoplanets() -> Made:
    """Exoplanet hunter: one step, with features pooled as if they were a sequence."""

    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1, mem1 = self.lif1(F.max_pool1d(self.fc1(x), 2), mem1)
        spk2, mem2 = self.lif2(F.max_pool1d(self.fc2(spk1), 2), mem2)
        return self.fc3(spk2.view(B, -1))  # type: ignore[no-any-return]

    lifs = {f"lif{at}": snn.Leaky(0.5, threshold=0.2, spike_grad=surrogate.fast_sigmoid(25)) for at in (1, 2)}
    return written(forward, fc1=nn.Linear(N, 16), fc2=nn.Linear(8, 8), fc3=nn.Linear(4, 2), **lifs), image()


@page
def tutorial_of_autoencoders() -> Made:
    """Spiking autoencoder: chains with batch norm, an encoding loop, then a decoding one on its stacked spikes."""

    def forward(self: Any, x: Tensor) -> Tensor:
        utils.reset(self.encoder)
        utils.reset(self.decoder)
        utils.reset(self.linear_net)
        spk_mem, spk_rec = [], []
        for _ in range(T):
            spk_x, mem_x = self.encoder(x)
            spk_rec.append(spk_x)
            spk_mem.append(mem_x)
        stacked = torch.stack(spk_rec, dim=2)
        torch.stack(spk_mem, dim=2)
        spk_mem2 = []
        for step in range(T):
            spk_x, _ = self.linear_net(stacked[..., step])
            _, mem_x2 = self.decoder(spk_x)
            spk_mem2.append(mem_x2)
        return torch.stack(spk_mem2, dim=4)[:, :, :, :, -1]

    latent = 5
    encoder = chain(
        nn.Conv2d(2, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), hidden(),
        nn.Conv2d(4, 6, 3, padding=1, stride=2), nn.BatchNorm2d(6), hidden(),
        nn.Flatten(start_dim=1, end_dim=3), nn.Linear(24, latent), hidden(output=True),
    )  # fmt: skip
    decoder = chain(
        nn.Unflatten(1, (6, 2, 2)), hidden(),
        nn.ConvTranspose2d(6, 4, 3, padding=1, stride=(2, 2), output_padding=1), nn.BatchNorm2d(4), hidden(),
        nn.ConvTranspose2d(4, 2, 3, padding=1, stride=(2, 2), output_padding=1), hidden(output=True, threshold=20000),
    )  # fmt: skip
    linear_net = chain(nn.Linear(latent, 24), hidden(output=True))
    return written(forward, encoder=encoder, decoder=decoder, linear_net=linear_net), torch.rand(B, 2, 8, 8)


@page
def tutorial_of_forward_forward() -> Made:
    """Forward-forward: a layer that is a linear one with neurons inside, called once, on a normalised input."""

    class LeakyLayer(nn.Linear):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__(inputs, outputs, bias=False)
            self.activation = snn.Leaky(beta=0.8)

        def forward(self, x: Tensor) -> Tensor:
            mem = self.activation.init_leaky()
            direction = x / (torch.norm(x, p=2, dim=1, keepdim=True) + 1e-4)
            _, potential = self.activation(torch.mm(direction, self.weight.T), mem)
            return potential  # type: ignore[no-any-return]

    def forward(self: Any, x: Tensor) -> Tensor:
        goodness = []
        for layer in self.layers:
            x = layer(x)
            goodness.append(x.pow(2).mean(1))
        return sum(goodness)  # type: ignore[return-value]

    return written(forward, layers=nn.ModuleList([LeakyLayer(N, H), LeakyLayer(H, 7)])), image()


@page
def tutorial_of_speech_commands() -> Made:
    """Spiking Speech Commands: five layers in a chain, with dropout before the last."""
    layers: list[nn.Module] = [nn.Linear(N, H), hidden()]
    for _ in range(3):
        layers += [nn.Linear(H, H), hidden(spike_grad=surrogate.atan(alpha=2))]
    return unroll(chain(*layers, nn.Dropout(0.4), nn.Linear(H, C), hidden(output=True))), events()


# --- docs/examples


@page
def example_of_lapicque() -> Made:
    """docs/examples: Lapicque neurons in both layers."""
    parts = {"fc1": nn.Linear(N, H), "fc2": nn.Linear(H, C)}
    lifs = {name: LAPICQUE(beta=0.5, threshold=0.2) for name in ("lif1", "lif2")}
    return written(over_time, **parts, **lifs), events()


@page
def example_of_stein() -> Made:
    """docs/examples, Stein's model: Synaptic neurons, the same image at each step."""

    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        syn1, mem1 = self.lif1.init_synaptic()
        syn2, mem2 = self.lif2.init_synaptic()
        spk2_rec, mem2_rec = [], []
        for _ in range(T):
            spk1, syn1, mem1 = self.lif1(self.fc1(x.flatten(1)), syn1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)

    lifs = {name: snn.Synaptic(alpha=0.9, beta=0.85) for name in ("lif1", "lif2")}
    return written(forward, fc1=nn.Linear(N, H), fc2=nn.Linear(H, C), **lifs), image()


@page
def example_with_states_as_arguments() -> Made:
    """docs/examples: one step, whose states the caller hands in and gets back."""

    def forward(self: Any, x: Tensor, syn1: Tensor, mem1: Tensor, mem2: Tensor) -> tuple[Tensor, ...]:
        spk1, syn1, mem1 = self.lif1(self.fc1(x), syn1, mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, syn1, mem1, mem2

    parts = dense() | {"lif1": snn.Synaptic(0.9, 0.8, threshold=0.4)}
    return written(forward, **parts), (image(), torch.zeros(B, H), torch.zeros(B, H), torch.zeros(B, C))


# --- example notebooks


@page
def notebook_of_binarised_weights() -> Made:
    """Binarised networks: weights by their sign, with a gradient straight through."""

    class Binarise(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, weight: Tensor) -> Tensor:
            ctx.save_for_backward(weight)
            return weight.sign()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            (weight,) = ctx.saved_tensors
            return grad * (weight.abs() <= 1)  # type: ignore[no-any-return]

    class BinaryLinear(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, Binarise.apply(self.weight), self.bias)

    parts = dense() | {"fc1": BinaryLinear(N, H), "fc2": BinaryLinear(H, C)}
    return written(over_time, **parts), events()


@page
def notebook_of_quantised_states() -> Made:
    """Quantised states: potentials are rounded to a few levels in each step."""
    quant = QUANT(num_bits=4, uniform=True, threshold=0.4)
    return written(over_time, **dense(state_quant=quant)), events()


@page
def notebook_of_truncated_backpropagation() -> Made:
    """TBPTT: the gradient is cut every few steps."""

    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for step in range(x.size(0)):
            if step % 3 == 0:
                mem1, mem2 = mem1.detach(), mem2.detach()
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)

    return written(forward, **dense()), events()


@page
def notebook_of_batch_norm_through_time() -> Made:
    """`snn.BatchNormTT1d`: a batch norm of its own for each step."""

    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.bntt[step](self.fc1(x[step])), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, bntt=snn.BatchNormTT1d(H, time_steps=T), **dense()), events()


@page
def notebook_of_latency_and_delta_codes() -> Made:
    """Tutorial 1's codes before the network: changes of a signal, above a threshold."""

    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return over_time(self, spikegen.delta(x, threshold=0.2, off_spike=True))

    return written(forward, **dense()), torch.rand(T, B, N)


@page
def notebook_of_a_readout_by_maximal_potential() -> Made:
    """Heidelberg digits: the largest potential of a leaky readout without reset."""

    def forward(self: Any, x: Tensor) -> Tensor:
        syn1, mem1 = self.lif1.init_synaptic()
        mem2 = self.readout.init_leaky()
        mems = []
        for step in range(x.size(0)):
            spk1, syn1, mem1 = self.lif1(self.fc1(x[step]), syn1, mem1)
            _, mem2 = self.readout(self.fc2(spk1), mem2)
            mems.append(mem2)
        best, _ = torch.stack(mems).max(dim=0)
        return best.log_softmax(dim=1)

    lif1 = snn.Synaptic(alpha=0.8, beta=0.9, threshold=0.4)
    readout = snn.Leaky(beta=0.9, reset_mechanism="none")
    return written(forward, fc1=nn.Linear(N, H), lif1=lif1, fc2=nn.Linear(H, C), readout=readout), events()


@page
def notebook_of_parallel_neurons() -> Made:
    """`snn.LeakyParallel`: all steps in one call of torch's RNN."""

    def forward(self: Any, x: Tensor) -> Tensor:
        return self.lif2(self.lif1(x))  # type: ignore[no-any-return]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lif1, lif2 = snn.LeakyParallel(N, H), snn.LeakyParallel(H, C)
    return written(forward, lif1=lif1, lif2=lif2), events()


@page
def notebook_of_a_liquid_state_machine() -> Made:
    """A reservoir of RSynaptic neurons whose weights do not learn."""

    def forward(self: Any, x: Tensor) -> Tensor:
        spk, syn, mem = self.lsm.init_rsynaptic()
        spk_rec = []
        for step in range(x.size(0)):
            spk, syn, mem = self.lsm(self.fc1(x[step]), spk, syn, mem)
            spk_rec.append(spk)
        return self.readout(torch.stack(spk_rec).mean(0))  # type: ignore[no-any-return]

    lsm = snn.RSynaptic(alpha=0.9, beta=0.9, all_to_all=True, linear_features=H, threshold=0.6)
    net = written(forward, fc1=nn.Linear(N, H), lsm=lsm, readout=nn.Linear(H, C))
    for part in (net.fc1, net.lsm):
        part.requires_grad_(requires_grad=False)  # type: ignore[operator, union-attr]
    return net, events()
