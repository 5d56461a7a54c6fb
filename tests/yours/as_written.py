"""Networks as authors of public snnTorch code write them, small and anew: twenty-two kinds and thirty-odd idioms.

Each function makes one network and its input. The forwards are written out, since they are what is tested.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen, surrogate, utils
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as authors write it

Made = tuple[nn.Module, Any]
KINDS: dict[str, Callable[[], Made]] = {}
IDIOMS: dict[str, Callable[[], Made]] = {}
T, B, N, H, C = 6, 4, 12, 9, 3
num_steps = T  # a global, as tutorials have it


def kind(make: Callable[[], Made]) -> Callable[[], Made]:
    """Register one of the twenty-two kinds."""
    KINDS[make.__name__] = make
    return make


def idiom(make: Callable[[], Made]) -> Callable[[], Made]:
    """Register an idiom of public code."""
    IDIOMS[make.__name__] = make
    return make


def written(forward: Callable[..., Any], **modules: Any) -> nn.Module:
    """A module of a class of its own with this forward, its parts set as attributes."""
    made: Any = type("Net", (nn.Module,), {"forward": forward})()
    for name, module in modules.items():
        setattr(made, name, module)
    return made  # type: ignore[no-any-return]


def events(density: float = 0.4) -> Tensor:
    """Spikes over time [T, B, N]."""
    return (torch.rand(T, B, N) < density).float()


def image() -> Tensor:
    """A static input [B, N]."""
    return torch.rand(B, N)


def film(size: int = 8) -> Tensor:
    """Images over time [T, B, 2, S, S]."""
    return (torch.rand(T, B, 2, size, size) < 0.4).float()


def dense(**options: Any) -> dict[str, Any]:
    """Two linear layers with Leaky neurons of these options."""
    return {
        "fc1": nn.Linear(N, H),
        "lif1": snn.Leaky(beta=0.9, threshold=0.4, **options),
        "fc2": nn.Linear(H, C),
        "lif2": snn.Leaky(beta=0.8, threshold=0.4, **options),
    }


def tutorial(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The forward of snnTorch's tutorial 5: the same image at every step."""
    mem1 = self.lif1.init_leaky()
    mem2 = self.lif2.init_leaky()
    spk2_rec, mem2_rec = [], []
    for _ in range(num_steps):
        cur1 = self.fc1(x)
        spk1, mem1 = self.lif1(cur1, mem1)
        cur2 = self.fc2(spk1)
        spk2, mem2 = self.lif2(cur2, mem2)
        spk2_rec.append(spk2)
        mem2_rec.append(mem2)
    return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


def over_time(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and potentials over time, from events [T, B, N]."""
    mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
    spk_rec, mem_rec = [], []
    for step in range(x.size(0)):
        spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        spk_rec.append(spk2)
        mem_rec.append(mem2)
    return torch.stack(spk_rec), torch.stack(mem_rec)


# --- the twenty-two kinds


@kind
def spikes_and_potentials_over_time() -> Made:
    return written(over_time, **dense()), events()


@kind
def the_same_image_at_every_step() -> Made:
    return written(tutorial, **dense()), image()


@kind
def counts() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        total = torch.zeros(x.shape[1], C)
        for now in x:
            spk1, mem1 = self.lif1(self.fc1(now), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            total = total + spk2
        return total

    return written(forward, **dense()), events()


@kind
def means() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(num_steps):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out).mean(dim=0)

    return written(forward, **dense()), events()


@kind
def maxima() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(num_steps):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(mem2)
        return torch.stack(out, dim=1).max(dim=1)[0]

    return written(forward, **dense(reset_mechanism="none")), events()


@kind
def a_dict() -> Made:
    def forward(self: Any, x: Tensor) -> dict[str, Any]:
        spikes, potentials = over_time(self, x)
        return {"spikes": spikes, "mem": {"last": potentials[-1]}, "steps": len(x)}

    return written(forward, **dense()), events()


@kind
def learn_beta() -> Made:
    return written(over_time, **dense(learn_beta=True)), events()


@kind
def a_vector_of_betas() -> Made:
    parts = dense()
    parts["lif1"] = snn.Leaky(beta=torch.rand(H), threshold=torch.rand(H) + 0.2, learn_beta=True)
    return written(over_time, **parts), events()


@kind
def reset_delay_false() -> Made:
    return written(over_time, **dense(reset_delay=False)), events()


@kind
def graded_spikes() -> Made:
    return written(over_time, **dense(graded_spikes_factor=0.7, learn_graded_spikes_factor=True)), events()


@kind
def rleaky_with_a_dense_readout() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        spk, mem = self.rlif.init_rleaky()
        out = []
        for step in range(x.shape[0]):
            spk, mem = self.rlif(self.fc1(x[step]), spk, mem)
            out.append(self.fc2(spk))
        return torch.stack(out).sum(0)

    rlif = snn.RLeaky(beta=0.8, linear_features=H, threshold=0.4)
    return written(forward, fc1=nn.Linear(N, H), rlif=rlif, fc2=nn.Linear(H, C)), events()


@kind
def rsynaptic_with_a_dense_readout() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        spk, syn, mem = self.rlif.reset_mem()
        for step in range(x.shape[0]):
            spk, syn, mem = self.rlif(self.fc1(x[step]), spk, syn, mem)
        return self.fc2(mem)

    rlif = snn.RSynaptic(alpha=0.7, beta=0.8, linear_features=H, threshold=0.4)
    return written(forward, fc1=nn.Linear(N, H), rlif=rlif, fc2=nn.Linear(H, C)), events()


@kind
def a_readout_without_reset() -> Made:
    parts = dense()
    parts["lif2"] = snn.Leaky(beta=0.95, reset_mechanism="none", learn_beta=True)
    return written(over_time, **parts), events()


@kind
def convolutions_with_reset_in_forward() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        utils.reset(self)
        out = []
        for step in range(x.size(0)):
            now = F.max_pool2d(self.lif1(self.conv1(x[step])), 2)
            now = self.lif2(self.conv2(now))
            spk, _ = self.lif3(self.fc(now.flatten(1)))
            out.append(spk)
        return torch.stack(out)

    return written(
        forward,
        conv1=nn.Conv2d(2, 4, 3, padding=1),
        lif1=snn.Leaky(beta=0.8, threshold=0.4, init_hidden=True),
        conv2=nn.Conv2d(4, 3, 3),
        lif2=snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True),
        fc=nn.Linear(12, C),
        lif3=snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True, output=True),
    ), film()


@kind
def a_network_that_has_run_before() -> Made:
    network, x = convolutions_with_reset_in_forward()
    network(x).sum().backward()
    network.zero_grad()
    return network, x


@kind
def one_to_one_recurrence() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        spk1, mem1 = self.rlif.init_rleaky()
        mem2 = self.lif2.init_leaky()
        total = 0
        for step in range(x.shape[0]):
            spk1, mem1 = self.rlif(self.fc1(x[step]), spk1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            total = total + spk2
        return total  # type: ignore[return-value]

    parts = dense()
    del parts["lif1"]
    return written(forward, rlif=snn.RLeaky(0.9, V=torch.rand(H), all_to_all=False, threshold=0.4), **parts), events()


@kind
def alpha() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        exc, inh, mem = self.lif1.init_alpha()
        out = []
        for step in range(x.shape[0]):
            spk, exc, inh, mem = self.lif1(self.fc1(x[step]), exc, inh, mem)
            out.append(self.fc2(spk))
        return torch.stack(out)

    return written(
        forward,
        fc1=nn.Linear(N, H),
        lif1=snn.Alpha(0.9, 0.7, threshold=0.1, reset_mechanism="none"),
        fc2=nn.Linear(H, C),
    ), events()


@kind
def rate_coding_in_forward() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return over_time(self, spikegen.rate(x, num_steps=num_steps))

    return written(forward, **dense()), image()


@kind
def synaptic() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        syn1, mem1 = self.lif1.init_synaptic()
        syn2, mem2 = self.lif2.init_synaptic()
        out, mems = [], []
        for step in range(x.shape[0]):
            spk1, syn1, mem1 = self.lif1(self.fc1(x[step]), syn1, mem1)
            spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
            out.append(spk2)
            mems.append(mem2)
        return torch.stack(out), torch.stack(mems)

    lif1, lif2 = snn.Synaptic(0.6, 0.8, learn_alpha=True), snn.Synaptic(0.5, 0.7, threshold=0.6)
    return written(forward, fc1=nn.Linear(N, H), lif1=lif1, fc2=nn.Linear(H, C), lif2=lif2), events()


@kind
def lapicque() -> Made:
    parts = dense()
    parts["lif1"] = snn.Lapicque(beta=0.8, threshold=0.2)
    parts["lif2"] = snn.Lapicque(R=2.0, C=3.0, time_step=1.0, threshold=0.2)
    return written(over_time, **parts), events()


@kind
def a_residual_sum() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk3, mem3 = self.lif3(self.fc3(spk2 + spk1), mem3)
            out.append(spk3)
        return torch.stack(out)

    lif = snn.Leaky(0.9, threshold=0.3)
    return written(
        forward, fc1=nn.Linear(N, H), lif1=lif, fc2=nn.Linear(H, H), lif2=snn.Leaky(0.7, threshold=0.3),
        fc3=nn.Linear(H, C), lif3=snn.Leaky(0.8, threshold=0.3),
    ), events()  # fmt: skip


@kind
def steps_that_are_detached() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1.detach()), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense()), events()


# --- idioms of public code


@idiom
def batch_first() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return over_time(self, x.permute(1, 0, 2))

    return written(forward, **dense()), events().transpose(0, 1)


@idiom
def batch_first_by_a_colon() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for t in range(x.shape[1]):
            spk1, mem1 = self.lif1(self.fc1(x[:, t, :]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out, dim=1).sum(dim=1)

    return written(forward, **dense()), events().transpose(0, 1).contiguous()


@idiom
def a_table_that_is_filled() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk_out = torch.zeros(x.size(1), x.size(0), C)
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk_out[:, t] = spk2
        return spk_out

    return written(forward, **dense()), events()


@idiom
def counts_in_place() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        count = torch.zeros(x.size(1), C)
        for t in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[t]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            count += spk2
        return count / x.size(0)

    return written(forward, **dense()), events()


@idiom
def hidden_states_in_a_sequential() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        utils.reset(self.net)
        spk_rec = []
        for step in range(x.size(0)):
            spk_out, _ = self.net(x[step])
            spk_rec.append(spk_out)
        return torch.stack(spk_rec)

    net = nn.Sequential(
        nn.Linear(N, H),
        snn.Leaky(beta=0.9, threshold=0.4, init_hidden=True),
        nn.Linear(H, C),
        snn.Leaky(beta=0.9, threshold=0.4, init_hidden=True, output=True),
    )
    return written(forward, net=net), events()


@idiom
def dropout_between() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(self.drop0(x[step])), mem1)
            spk2, mem2 = self.lif2(self.fc2(self.drop(spk1)), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, drop0=nn.Dropout(0.2), drop=nn.Dropout(0.5), **dense()), events()


@idiom
def batch_norm_on_currents() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.bn(self.fc1(x[step])), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, bn=nn.BatchNorm1d(H), **dense()), events()


@idiom
def layer_norm_and_relu() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.norm(F.relu(self.fc1(x[step]))), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, norm=nn.LayerNorm(H), **dense()), events()


@idiom
def spikes_of_all_layers() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[list[Tensor], Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1_rec, mem2_rec = [], []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk1_rec.append(spk1)
            mem2_rec.append(mem2)
        return spk1_rec, mem2_rec[-1]

    return written(forward, **dense()), events()


@idiom
def a_list_of_layers() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mems = [lif.init_leaky() for lif in self.lifs]
        out = []
        for step in range(x.shape[0]):
            now = x[step]
            for layer, (fc, lif) in enumerate(zip(self.fcs, self.lifs, strict=True)):
                now, mems[layer] = lif(fc(now), mems[layer])
            out.append(now)
        return torch.stack(out)

    sizes = (N, H, 7, C)
    fcs = nn.ModuleList([nn.Linear(*pair) for pair in itertools.pairwise(sizes)])
    lifs = nn.ModuleList([snn.Leaky(beta=0.8, threshold=0.3) for _ in fcs])
    return written(forward, fcs=fcs, lifs=lifs), events()


@idiom
def an_encoder_before_time() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        code = torch.sigmoid(self.encoder(x))
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = 0.0
        for _ in range(self.num_steps):
            spk1, mem1 = self.lif1(self.fc1(code), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out += spk2
        return out / self.num_steps  # type: ignore[return-value]

    return written(forward, encoder=nn.Linear(N, N), num_steps=5, **dense()), image()


@idiom
def latency_code_in_forward() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        spikes = spikegen.latency(x, num_steps=T, normalize=True, linear=True)
        return over_time(self, spikes)

    return written(forward, **dense()), image()


@idiom
def a_gain_that_changes_with_time() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]) * (1 + step / 10), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1) + self.bias[step], mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, bias=nn.Parameter(torch.rand(T, C)), **dense()), events()


@idiom
def a_delay_of_one_step() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1 = torch.zeros(x.shape[1], H)
        out = []
        for step in range(x.shape[0]):
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)  # of the step before
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense()), events()


@idiom
def layer_after_layer() -> Made:
    def run(lif: Any, current: Tensor) -> Tensor:
        mem = lif.init_leaky()
        out = []
        for now in current.unbind(0):
            spk, mem = lif(now, mem)
            out.append(spk)
        return torch.stack(out)

    def forward(self: Any, x: Tensor) -> Tensor:
        return run(self.lif2, self.fc2(run(self.lif1, self.fc1(x))))

    return written(forward, **dense()), events()


@idiom
def states_of_a_class() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        self.mem1, self.mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.shape[0]):
            spk1, self.mem1 = self.lif1(self.fc1(x[step]), self.mem1)
            spk2, self.mem2 = self.lif2(self.fc2(spk1), self.mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense()), events()


@idiom
def a_potential_readout() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        for step in range(x.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
        return F.log_softmax(mem2, dim=-1)

    return written(forward, **dense()), events()


@idiom
def reset_to_zero_and_sigmoid() -> Made:
    options = {"reset_mechanism": "zero", "spike_grad": surrogate.sigmoid(slope=5)}
    return written(over_time, **dense(**options)), events()


@idiom
def a_surrogate_of_ones_own() -> Made:
    class Own(torch.autograd.Function):
        """A rectangle."""

        @staticmethod
        def forward(ctx: Any, u: Tensor) -> Tensor:
            ctx.save_for_backward(u)
            return (u > 0).float()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            (u,) = ctx.saved_tensors
            return grad * (u.abs() < 0.5).float()  # type: ignore[no-any-return]

    return written(over_time, **dense(spike_grad=Own.apply)), events()


@idiom
def learnt_thresholds() -> Made:
    return written(over_time, **dense(learn_threshold=True, spike_grad=surrogate.fast_sigmoid())), events()


@idiom
def an_autoencoder() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        utils.reset(self)
        code, out = [], []
        for _ in range(T):
            latent = self.lif1(self.down(x))
            code.append(latent)
            _, mem = self.lif2(self.up(latent))
            out.append(mem)
        return torch.stack(out, dim=2)[:, :, -1], torch.stack(code).mean(0)

    return written(
        forward,
        down=nn.Linear(N, 5),
        lif1=snn.Leaky(0.9, threshold=0.3, init_hidden=True),
        up=nn.Linear(5, N),
        lif2=snn.Leaky(0.9, threshold=0.3, init_hidden=True, output=True, reset_mechanism="none"),
    ), image()


@idiom
def a_small_vgg() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        total = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.pool(self.bn1(self.conv1(x[step]))), mem1)
            spk2, mem2 = self.lif2(self.pool(self.conv2(spk1)), mem2)
            spk3, mem3 = self.lif3(self.fc(spk2.view(x.size(1), -1)), mem3)
            total.append(spk3)
        return sum(total)  # type: ignore[return-value]

    return written(
        forward,
        conv1=nn.Conv2d(2, 4, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(4).eval(),
        pool=nn.MaxPool2d(2),
        lif1=snn.Leaky(0.8, threshold=0.2),
        conv2=nn.Conv2d(4, 4, 3, padding=1),
        lif2=snn.Leaky(0.8, threshold=0.2),
        fc=nn.Linear(16, C),
        lif3=snn.Leaky(0.8, threshold=0.2),
    ), film()


@idiom
def a_sequential_of_convolutions() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        utils.reset(self.net)
        return torch.stack([self.net(now)[0] for now in x])

    grad = surrogate.fast_sigmoid(slope=25)
    hidden = {"beta": 0.5, "spike_grad": grad, "init_hidden": True, "threshold": 0.3}
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.AvgPool2d(2), snn.Leaky(**hidden),
        nn.Flatten(), nn.Linear(27, C), snn.Leaky(**hidden, output=True),
    )  # fmt: skip
    return written(forward, net=net), film()


@idiom
def two_streams() -> Made:
    def forward(self: Any, x: Tensor, y: Tensor) -> Tensor:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk3, mem3 = self.lif3(self.fc3(y[step]), mem3)
            spk2, mem2 = self.lif2(self.fc2(torch.cat([spk1, spk3], dim=1)), mem2)
            out.append(spk2)
        return torch.stack(out)

    parts = dense() | {"fc2": nn.Linear(2 * H, C), "fc3": nn.Linear(N, H), "lif3": snn.Leaky(0.5, threshold=0.3)}
    return written(forward, **parts), (events(), events())


@idiom
def noise_on_the_input() -> Made:
    def forward(self: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            x = x + 0.1 * torch.randn_like(x)
        return over_time(self, x)

    return written(forward, **dense()), events()


@idiom
def noise_in_each_step() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.size(0)):
            cur = self.fc1(x[step])
            spk1, mem1 = self.lif1(cur + 0.2 * torch.randn_like(cur), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense()), events()


@idiom
def shared_weights() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc(x[step]), mem1)
            spk2, mem2 = self.lif2(F.linear(spk1, self.fc.weight.t()), mem2)
            out.append(spk2)
        return torch.stack(out)

    parts = {"lif1": snn.Leaky(0.9, threshold=0.4), "lif2": snn.Leaky(0.9, threshold=0.4)}
    return written(forward, fc=nn.Linear(N, H), **parts), events()


@idiom
def weight_normalisation() -> Made:
    network = written(over_time, **dense())
    nn.utils.parametrizations.weight_norm(network.fc1)
    return network, events()


@idiom
def truncated_states() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1.detach())
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2.detach())
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense()), events()


@idiom
def an_own_recurrent_layer() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk1 = torch.zeros(x.shape[1], H)
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]) + self.rec(spk1), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, rec=nn.Linear(H, H, bias=False), **dense()), events()


@idiom
def feedback_from_a_later_layer() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2 = torch.zeros(x.shape[1], C)
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(torch.cat([x[step], spk2], dim=1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense() | {"fc1": nn.Linear(N + C, H)}), events()


@idiom
def winner_takes_all() -> Made:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # snnTorch calls it unstable
        return written(over_time, **dense(inhibition=True)), events()


@idiom
def a_recurrent_convolution() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        spk, mem = self.rlif.init_rleaky()
        out = []
        for step in range(x.size(0)):
            spk, mem = self.rlif(self.conv(x[step]), spk, mem)
            out.append(spk.mean((2, 3)))
        return torch.stack(out)

    rlif = snn.RLeaky(beta=0.7, conv2d_channels=3, kernel_size=3, threshold=0.3)
    return written(forward, conv=nn.Conv2d(2, 3, 3, padding=1), rlif=rlif), film()


@idiom
def a_spiking_lstm() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        syn, mem = self.slstm.init_slstm()
        out = []
        for step in range(x.size(0)):
            _, syn, mem = self.slstm(self.fc1(x[step]), syn, mem)
            out.append(self.fc2(mem))
        return torch.stack(out)

    return written(forward, fc1=nn.Linear(N, H), slstm=snn.SLSTM(H, H, threshold=0.1), fc2=nn.Linear(H, C)), events()


@idiom
def frozen_features() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.size(0)):
            with torch.no_grad():
                spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(spk2)
        return torch.stack(out)

    return written(forward, **dense()), events()


@idiom
def a_regression_over_time() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        out = []
        for step in range(x.size(0)):
            spk1, mem1 = self.lif1(self.fc1(x[step]), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            out.append(mem2)
        return torch.stack(out).squeeze(-1)

    return written(forward, **dense() | {"fc2": nn.Linear(H, 1)}), events()


@idiom
def states_left_over() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        return torch.stack([self.lif2(self.fc2(self.lif1(self.fc1(now))))[1] for now in x])

    parts = dense() | {f"lif{at}": snn.Leaky(0.8, threshold=0.4, init_hidden=True, output=at > 1) for at in (1, 2)}
    network, x = written(forward, **parts), events()
    with torch.no_grad():
        network(x)  # somebody outside begins the states anew
    return network, x


@idiom
def a_gru_before_spikes() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        currents, _ = self.gru(x)
        mem, kept = self.lif1.reset_mem(), []
        for now in currents:
            spikes, mem = self.lif1(now, mem)
            kept.append(spikes)
        return self.fc2(torch.stack(kept)).amax(0)  # type: ignore[no-any-return]

    return written(forward, gru=nn.GRU(N, H), lif1=snn.Leaky(0.9, threshold=0.1), fc2=nn.Linear(H, C)), events()


@idiom
def one_module_for_all_layers() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mems, kept = [self.lif.reset_mem() for _ in range(3)], []
        for now in x:
            for layer, linear in enumerate((self.fc1, self.fc2, self.fc3)):
                now, mems[layer] = self.lif(linear(now), mems[layer])  # noqa: PLW2901 - as authors write it
            kept.append(mems[-1])
        return torch.stack(kept)

    parts = {"fc1": nn.Linear(N, H), "fc2": nn.Linear(H, 7), "fc3": nn.Linear(7, C)}
    return written(forward, lif=snn.Leaky(0.9, threshold=0.4), **parts), events()


@idiom
def arguments_by_name() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem, kept = self.lif1.reset_mem(), []
        for now in x:
            spikes, mem = self.lif1(input_=self.fc1(now), mem=mem)
            kept.append(self.fc2(spikes))
        return torch.stack(kept)

    parts = dense()
    del parts["lif2"]
    return written(forward, **parts), events()


@idiom
def a_potential_that_is_clamped() -> Made:
    def forward(self: Any, x: Tensor) -> Tensor:
        mem, kept = self.lif1.reset_mem(), []
        for now in x:
            spikes, mem = self.lif1(self.fc1(now), mem)
            mem = torch.clamp(mem, -0.3, 0.3)
            kept.append(self.fc2(spikes))
        return torch.stack(kept)

    parts = dense()
    del parts["lif2"]
    return written(forward, **parts), events()


@idiom
def neurons_written_by_hand() -> Made:
    """With a surrogate whose `apply` is kept."""

    class Fire(torch.autograd.Function):
        """A fast sigmoid."""

        @staticmethod
        def forward(ctx: Any, u: Tensor) -> Tensor:
            ctx.save_for_backward(u)
            return (u > 0).float()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            (u,) = ctx.saved_tensors
            return grad / (1 + 10 * u.abs()) ** 2  # type: ignore[no-any-return]

    fire = Fire.apply

    def forward(self: Any, x: Tensor) -> Tensor:
        u = torch.zeros(x.shape[1], H)
        mem, kept = self.lif2.reset_mem(), []
        for now in x:
            u = 0.9 * u + self.fc1(now)
            spikes = fire(u - 0.4)
            u = u - 0.4 * spikes.detach()
            out, mem = self.lif2(self.fc2(spikes), mem)
            kept.append(out)
        return torch.stack(kept)

    parts = dense()
    del parts["lif1"]
    return written(forward, **parts), events()
