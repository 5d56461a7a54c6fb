"""Every model's equations written out once more, after the reset instead of before it.

A transcription is a function of the whole input: it carries potentials after their reset, as papers and other
libraries do, where our steps carry them before it. Its gradients are autograd's, through a spike of its own.

Legend: I currents [T, B, N], p the neuron's numbers, theta threshold, H spike with slope 1 / (1 + (pi x)^2).
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Spike(torch.autograd.Function):
    """Step forward, atan's slope backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad / (1 + (math.pi * x) ** 2)


H = Spike.apply


class Numbers:
    """A neuron's numbers by name, and its reset in the form that acts at once."""

    def __init__(self, neuron: Any, options: dict[str, Any]) -> None:
        self.options = options
        modules = {name: part() for name, part in neuron.named_children() if hasattr(part, "fixed")}
        self.values = modules

    def __getattr__(self, name: str) -> Any:
        return self.values[name] if name in self.values else self.options[name]

    def seen(self, s: Tensor) -> Tensor:
        return s if self.options["reset_gradient"] == "attached" else s.detach()

    def reset(self, u: Tensor, s: Tensor, paid: Any) -> tuple[Tensor, Tensor]:
        """The potential after its reset, and what is still to be paid behind the next step."""
        s = self.seen(s)
        kind = self.options.get("reset", "none")
        if kind == "zero":
            return torch.where(s.detach() > 0, 0.0, u) - (s - s.detach()) * (u - self.options.get("reset_to", 0.0)) + (
                self.options.get("reset_to", 0.0) * s.detach()
            ), torch.zeros_like(u)
        if kind == "subtract_decayed":
            return u - paid * s, torch.zeros_like(u)
        return u, paid * s if kind == "subtract" else torch.zeros_like(u)

    def gain(self, beta: Any) -> Any:
        beta = torch.as_tensor(beta, dtype=torch.float64)
        return {"one": 1.0, "one_minus_beta": 1 - beta, "dt_over_tau": -beta.log()}[self.options["input_gain"]]


Outcome = list[tuple[Tensor, Tensor]]  # of each step, what is sent and x


def leaky(p: Numbers, inputs: Tensor) -> Outcome:
    v = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = p.beta * v + p.gain(p.beta) * now - owed
        s = H(u - p.threshold)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - p.threshold))
    return out


def synaptic_readout(p: Numbers, inputs: Tensor) -> Outcome:
    """Unrolled sums: u[t] of what every earlier current has left, first in i and then in u."""
    out = []
    for t in range(len(inputs)):
        i = [sum(p.alpha ** (k - j) * inputs[j] for j in range(k + 1)) for k in range(t + 1)]
        u = sum(p.beta ** (t - k) * p.gain(p.beta) * i[k] for k in range(t + 1))
        out.append((u, u))
    return out


def refractory(p: Numbers, inputs: Tensor) -> Outcome:
    v = owed = torch.zeros_like(inputs[0])
    silent = torch.zeros(inputs[0].shape, dtype=torch.int64)
    out = []
    for now in inputs:
        free = silent == 0
        u = torch.where(free, p.beta * v + p.gain(p.beta) * now, v) - owed
        s = torch.where(free, H(u - p.threshold), torch.zeros_like(u))
        v, owed = p.reset(u, s, p.threshold)
        silent = torch.where(s.detach() > 0, round(p.period_s / p.dt_s), (silent - 1).clamp(min=0))
        out.append((s, u - p.threshold))
    return out


def refractory_alif(p: Numbers, inputs: Tensor) -> Outcome:
    """Silent where one of the last n spikes was sent; adaptation as a sum over all earlier spikes."""
    v = owed = torch.zeros_like(inputs[0])
    sent: list[Tensor] = []
    out = []
    for now in inputs:
        u = p.beta * v + p.gain(p.beta) * now - owed
        a = sum((p.rho**age * s for age, s in enumerate(reversed(sent))), torch.zeros_like(u))
        x = u - p.threshold - p.kappa * a
        fired = sum(sent[len(sent) - min(len(sent), round(p.period_s / p.dt_s)) :], torch.zeros_like(u))
        sent.append(torch.where(fired.detach() > 0, torch.zeros_like(u), H(x)))
        v, owed = p.reset(u, sent[-1], p.threshold)
        out.append((sent[-1], x))
    return out


def klif(p: Numbers, inputs: Tensor) -> Outcome:
    v = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = (p.k * (p.beta * v + p.gain(p.beta) * now)).clamp(min=0) - owed
        s = H(u - p.threshold)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - p.threshold))
    return out


def glif(p: Numbers, inputs: Tensor) -> Outcome:
    u = s = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        leak = 1 - p.gate_leak * (1 - p.beta)
        u = (
            leak * u
            - (1 - p.gate_leak) * p.linear_leak
            + now * (1 - p.gate_input * (1 - p.input_scale))
            - leak * u * p.gate_reset * p.seen(s)
            - (1 - p.gate_reset) * p.subtracted * p.seen(s)
        )
        s = H(u - p.threshold)
        out.append((s, u - p.threshold))
    return out


def clif(p: Numbers, inputs: Tensor) -> Outcome:
    v = m = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = p.beta * v + now - owed
        s = H(u - p.threshold)
        m = m * torch.sigmoid((1 - p.beta) * u) + s
        v, owed = p.reset(u, s, p.threshold + torch.sigmoid(m))
        out.append((s, u - p.threshold))
    return out


def liaf(p: Numbers, inputs: Tensor) -> Outcome:
    acts = {"relu": lambda x: x.clamp(min=0), "tanh": torch.tanh, "sigmoid": lambda x: 1 / (1 + (-x).exp())}
    return [(acts[p.activation](x), x) for _, x in leaky(p, inputs)]


def se_adlif(p: Numbers, inputs: Tensor) -> Outcome:
    v = w = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = p.beta * v + p.gain(p.beta) * now - (1 - p.beta) * w - owed
        s = H(u - p.threshold)
        v, owed = p.reset(u, s, p.threshold)
        w = p.rho * w + (1 - p.rho) * p.q * (p.a * v + p.b * s)
        out.append((s, u - p.threshold))
    return out


def ahp(p: Numbers, inputs: Tensor) -> Outcome:
    v = w = owed = s = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        w = p.gamma * (w + p.b * s)
        u = p.beta * v + now + w - owed
        s = H(u - p.threshold)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - p.threshold))
    return out


def dexat(p: Numbers, inputs: Tensor) -> Outcome:
    v = owed = fast = slow = s = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        fast = p.rho_fast * fast + (1 - p.rho_fast) * s
        slow = p.rho_slow * slow + (1 - p.rho_slow) * s
        u = p.beta * v + p.gain(p.beta) * now - owed
        x = u - p.threshold - p.kappa_fast * fast - p.kappa_slow * slow
        s = H(x)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, x))
    return out


def srm(p: Numbers, inputs: Tensor) -> Outcome:
    """No recursion: sums over all inputs and all own spikes so far."""
    sent: list[Tensor] = []
    out = []
    for t in range(len(inputs)):
        ages = range(t + 1)
        kernel = [sum(p.alpha ** (n - k) * p.beta**k for k in range(n + 1)) for n in ages]
        u = sum(kernel[t - k] * inputs[k] for k in ages)
        r = sum((p.kappa * p.rho ** (t - 1 - k) * p.seen(sent[k]) for k in range(t)), torch.zeros_like(inputs[0]))
        x = u - r - p.threshold
        sent.append(H(x))
        out.append((sent[-1], x))
    return out


def flow(p: Numbers, v: Tensor, *, quadratic: bool) -> Tensor:
    limit = torch.as_tensor(p.threshold, dtype=v.dtype)
    if quadratic:
        return p.curvature * v * (torch.maximum(torch.minimum(v, limit), -limit) - p.critical)
    return -v + p.sharpness * ((torch.minimum(v, limit) - p.rheobase) / p.sharpness).exp()


def euler(p: Numbers, inputs: Tensor, *, quadratic: bool, recovery: str | None = None) -> Outcome:
    """Both variables by forward Euler from the values after the last spike's reset and jump."""
    v = w = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = v + p.rate * (flow(p, v, quadratic=quadratic) - w + p.options.get("resistance", 1.0) * now) - owed
        s = H(u - p.threshold)
        if recovery is not None:
            w = w + p.values[recovery] * (p.a * v - w) + p.b * s
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - p.threshold))
    return out


def conductance(p: Numbers, inputs: Tensor) -> Outcome:
    """The solution over a step, written as decay towards the weighted mean of the reversal potentials."""
    v = owed = excitatory = inhibitory = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        excitatory = p.alpha_excitatory * excitatory + now.clamp(min=0)
        inhibitory = p.alpha_inhibitory * inhibitory + (-now).clamp(min=0)
        g = 1 + excitatory + inhibitory
        left = (-p.rate * g).exp()
        drawn = (excitatory * p.reversal_excitatory + inhibitory * p.reversal_inhibitory) / g
        u = left * v + (1 - left) * drawn - owed
        s = H(u - p.threshold)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - p.threshold))
    return out


def resonate_and_fire(p: Numbers, inputs: Tensor) -> Outcome:
    """In complex numbers."""
    z = torch.zeros_like(inputs[0]) * 1j
    owed = torch.zeros_like(inputs[0])
    pole = p.beta * torch.exp(1j * torch.as_tensor(p.omega_rad_s * p.dt_s, dtype=torch.float64))
    out = []
    for now in inputs:
        z = pole * z + now - 1j * owed
        s = H(z.imag - p.threshold)
        out.append((s, z.imag - p.threshold))
        v, owed = p.reset(z.imag, s, p.threshold)
        z = z.real + 1j * v
    return out


def brf(p: Numbers, inputs: Tensor) -> Outcome:
    """In complex numbers, q updated behind the spike as the paper has it."""
    z = torch.zeros_like(inputs[0]) * 1j
    q = torch.zeros_like(inputs[0])
    omega = torch.as_tensor(p.omega_rad_s, dtype=torch.float64)
    out = []
    for now in inputs:
        sustained = (-1 + (1 - (p.dt_s * omega) ** 2).sqrt()) / p.dt_s
        b = sustained - p.damping_per_s - p.refractory_damping_per_s * q
        z = z + p.dt_s * (b + 1j * omega) * z + now
        x = z.real - p.threshold - q
        s = H(x)
        q = p.gamma * q + p.seen(s)
        out.append((s, x))
    return out


def hrf(p: Numbers, inputs: Tensor) -> Outcome:
    u = v = q = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        v = v + p.dt_s * u
        u = u + now - 2 * p.damping_per_s * u * p.dt_s - p.omega_rad_s**2 * v * p.dt_s
        x = u - p.threshold - q
        s = H(x)
        q = p.gamma * q + p.seen(s)
        out.append((s, x))
    return out


def ternary(p: Numbers, inputs: Tensor) -> Outcome:
    v = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = p.beta * v + p.gain(p.beta) * now - owed
        s = H(u - p.threshold) - H(-p.threshold - u)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - p.threshold))
    return out


def multi_spike(p: Numbers, inputs: Tensor) -> Outcome:
    v = owed = torch.zeros_like(inputs[0])
    out = []
    for now in inputs:
        u = p.beta * v + p.gain(p.beta) * now - owed
        thresholds = [(k + 1 - p.offset) * p.threshold for k in range(p.most)]
        s = torch.stack([H(u - each) for each in thresholds]).sum(0)
        v, owed = p.reset(u, s, p.threshold)
        out.append((s, u - thresholds[0]))
    return out


def sigma_delta(p: Numbers, inputs: Tensor) -> Outcome:
    """What was received and sent so far as sums, not as traces."""
    sent = [torch.zeros_like(inputs[0])]
    out = []
    for t in range(len(inputs)):
        u = (inputs[: t + 1].sum(0) + p.bias).clamp(min=0) - torch.stack(sent).sum(0)
        sent.append(u * (H(u - p.threshold) + H(-u - p.threshold)))
        out.append((sent[-1], u.abs() - p.threshold))
    return out


TRANSCRIPTIONS: dict[str, Callable[[Numbers, Tensor], Outcome]] = {
    "leaky": leaky, "plif": leaky, "integrate_and_fire": leaky, "mcculloch_pitts": leaky, "refractory": refractory,
    "klif": klif, "glif": glif, "clif": clif, "liaf": liaf, "se_adlif": se_adlif, "ahp": ahp, "dexat": dexat,
    "srm": srm, "eif": lambda p, i: euler(p, i, quadratic=False), "qif": lambda p, i: euler(p, i, quadratic=True),
    "adex": lambda p, i: euler(p, i, quadratic=False, recovery="rate_adapt"),
    "izhikevich": lambda p, i: euler(p, i, quadratic=True, recovery="rate_recovery"), "conductance": conductance,
    "refractory_alif": refractory_alif,
    "resonate_and_fire": resonate_and_fire, "brf": brf, "hrf": hrf, "ternary": ternary, "multi_spike": multi_spike,
    "integer": multi_spike, "sigma_delta": sigma_delta, "synaptic_readout": synaptic_readout,
}  # fmt: skip
