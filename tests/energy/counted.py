"""Small networks in eighths, given or drawn, and what the counter says of them."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from fastspiking.choose import Engine
from fastspiking.signals.trajectory import SPIKES, Batch
from sgbench.energy.count import OperationCounter
from sgbench.inits.kaiming import Kaiming
from sgbench.networks.base import Provided
from sgbench.networks.mlp import Mlp
from sgbench.neurons.adlif import AdLif
from sgbench.neurons.alif import Alif
from sgbench.neurons.base import Neuron
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.synaptic import Synaptic
from sgbench.records.counts import OpCounts
from sgbench.surrogates.triangle import Triangle

RECURRENCES = ("none", "one_to_one", "all_to_all")


def make_neuron(kind: str, features: int) -> Neuron:
    """Decays are a half, so that everything stays exact in float32 too."""
    surrogate = Triangle(slope=1.0, width_fwhm=None, normalisation="peak1", scale=1.0)
    options = {"beta": 0.5, "threshold": 1.0, "reset": "subtract", "reset_gradient": "detached"}
    options |= {"learn_threshold": "none"}
    if kind == "leaky":
        return Leaky(surrogate, features, learn_beta="none", **options)
    if kind == "synaptic":
        return Synaptic(surrogate, features, alpha=0.5, learn_alpha="none", learn_beta="none", **options)
    options |= {"learn_beta": "none", "rho": 0.5, "learn_rho": "none"}
    if kind == "alif":
        return Alif(surrogate, features, kappa=0.5, learn_kappa="none", **options)
    if kind == "adlif":
        return AdLif(surrogate, features, a=0.5, b=0.5, learn_a="none", learn_b="none", **options)
    return LeakyReadout(features, beta=0.5, learn_beta="none")


def make_network(
    inputs: int,
    hidden: tuple[int, ...],
    outputs: int,
    *,
    recurrence: str = "none",
    bias: bool = False,
    kind: str = "leaky",
    readout: str = "leaky_readout",
    seed: int = 0,
) -> Mlp:
    """A network whose weights are multiples of 1/8."""
    network = Mlp(
        Provided(
            inputs,
            outputs,
            lambda features: make_neuron(kind, features),
            lambda features: make_neuron(readout, features),
            Kaiming(gain=2.5, recurrent_gain=1.0),
            torch.Generator().manual_seed(seed),
            Engine("reference"),
        ),
        hidden=hidden,
        recurrence=recurrence,
        recurrence_gradient="full",
        bias=bias,
    )
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_((8 * weight).round() / 8)
    return network


def make_batch(x: Tensor, lengths: list[int]) -> Batch:
    return Batch(x, torch.zeros(len(lengths), dtype=torch.int64), torch.tensor(lengths), torch.arange(len(lengths)))


@torch.no_grad()
def count(network: Mlp, *batches: Batch, input_kind: str = "binary") -> OpCounts:
    """What the counter says after all batches."""
    counter = OperationCounter(network, input_kind, bits=32)
    for batch in batches:
        counter.update(batch, network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES})))
    return counter.result()


def totals(counts: OpCounts) -> list[dict[str, Any]]:
    """Every total by name, layer by layer; synapses as (source, wiring, operation, effective, dense)."""
    layers = []
    for layer in counts.layers:
        tree = layer.model_dump(exclude={"name", "neuron", "neurons", "state_bits", "synapses"})
        named: dict[str, Any] = {name: value["total"] for name, value in tree.items()}
        named["synapses"] = [
            (each.source, each.wiring, each.operation, each.effective.total, each.dense.total)
            for each in layer.synapses
        ]
        layers.append(named)
    return layers


NOTHING = {"normalisation_operations": 0, "pooling_operations": 0, "residual_additions": 0, "delay_operations": 0}


class Case:
    """One random small network and batch."""

    def __init__(self, seed: int, hidden: list[int], **options: Any) -> None:
        random = torch.Generator().manual_seed(seed)
        self.inputs, self.outputs, self.input_kind = 3, 2, options.pop("input_kind")
        self.kind, self.readout = options["kind"], options["readout"]
        self.network = make_network(self.inputs, tuple(hidden), self.outputs, seed=seed, **options)
        steps, samples = 5, 3
        x = torch.randint(-4, 9, (steps, samples, self.inputs), generator=random).double() / 8
        x[torch.rand(x.shape, generator=random) < 0.5] = 0
        x = (x > 0).double() if self.input_kind == "binary" else x
        lengths = torch.randint(1, steps + 1, (samples,), generator=random)
        self.batch = make_batch(x, lengths.tolist())

    def __repr__(self) -> str:
        return f"{self.network}, {self.batch}"


cases = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    hidden=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    recurrence=st.sampled_from(RECURRENCES),
    bias=st.booleans(),
    kind=st.sampled_from(["leaky", "synaptic", "alif", "adlif"]),
    readout=st.sampled_from(["leaky_readout", "leaky"]),
    input_kind=st.sampled_from(["binary", "real"]),
)
few = settings(max_examples=25)


def inside(batch: Batch) -> Tensor:
    """Mask [T, B] of the steps within each sample, step by step."""
    return torch.tensor([[t < n for n in batch.lengths.tolist()] for t in range(len(batch.x))])
