"""Rows of rule, network, neuron, firing and loss as runs of a few steps and samples, and what a refusal asks for.

Each row is the default run with these choices; a loss brings a data set that asks for what it knows, with that data
set's encoder, and the readout that it needs. Sizes are as small as they can be.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from fastspiking.signals.trajectory import Batch, Target
from sgbench.composition import catalogue
from sgbench.losses.base import Loss
from sgbench.optimizers.sam import Sam
from sgbench.paths import conf_dir
from sgbench.records.spec import RunSpec
from sgbench.training.build import Parts, build
from sgbench.training.train_step import TrainLoop
from tests.contracts.pairs import Factors, Pair, Row
from tests.entries import class_of, spec_with

GROUPS = ("rule", "network", "neuron", "firing", "loss")
STEPS, SAMPLES = 5, 4
LENGTHS = torch.tensor([5, 3, 5, 1])
NEUTRAL = {"rule": "bptt", "network": "mlp", "neuron": "leaky", "firing": "step", "loss": "per_step"}
SMALL = {"protocol.steps": STEPS, "protocol.batch_size": SAMPLES, "protocol.hidden": [6]}
SMALL_NETWORKS = {
    "conv": {"network.channels": [3]},
    "spiking_resnet": {"network.channels": [2, 3]},
    "delayed": {"network.max_delay_steps": 2},
    "encoded": {"network.population": 1},
    "event_driven": {"network.threshold": 0.2},
    "first_spike": {"network.threshold": 0.2},
}
Recipe = tuple[dict[str, str], dict[str, Any]]
"""All choices of a run, and values by dotted names."""
WORD = re.compile(r"[a-z][a-z_.@]*=(?:\[[^\]]*\]|[^\s,;\[\]]+)")
REVIEWED = Path(__file__).with_name("refused.yaml")


def factors() -> Factors:
    """Return all entries of the five groups, as `conf/` has them, without other names of theirs."""
    return {
        group: [name for name, entry in catalogue.entries(group).items() if entry.canonical == name] for group in GROUPS
    }


@functools.cache
def neutral_first() -> dict[str, list[str]]:
    """Return the entries of each group, the one that goes with most others first."""
    return {group: sorted(names, key=NEUTRAL[group].__ne__) for group, names in factors().items()}


@functools.cache
def refusals() -> dict[Pair, str]:
    """Return what is reviewed as refused: by pair, a part of the message."""
    reviewed: dict[Pair, str] = {}
    for line in yaml.safe_load(REVIEWED.read_text(encoding="utf-8")):
        message = line.pop("message")
        (group, names), (other, seconds) = line.items()
        for name in names if isinstance(names, list) else [names]:
            for second in seconds if isinstance(seconds, list) else [seconds]:
                pair = frozenset([(group, name), (other, second)])
                assert pair not in reviewed, f"{sorted(pair)} is listed twice"
                reviewed[pair] = message
    return reviewed


def loss_class(name: str) -> type[Loss]:
    """Return the class behind a loss."""
    found: type[Loss] = class_of("loss", name)
    return found


@functools.cache
def data_of(kind: str) -> tuple[str, str]:
    """Return a data set whose target is of a kind, the default one where it will do, and its encoder."""
    by_kind = [
        name for name, entry in catalogue.entries("dataset").items() if entry.meta.get("target", "class") == kind
    ]
    data_set = min(by_kind, key=lambda name: (name != "digits", name))
    experiment = yaml.safe_load((conf_dir() / "experiment" / f"{data_set}.yaml").read_text(encoding="utf-8"))
    overrides = {key: value for default in experiment["defaults"] for key, value in default.items()}
    return data_set, overrides.get("override /encoder", "latency")


def recipe(row: Row, kind: Target | None = None) -> Recipe:
    """Return all choices and small sizes of a row, on data with a target that its loss knows, or another."""
    loss = loss_class(row["loss"])
    kind = loss.targets[0] if kind is None else kind
    data_set, encoder = data_of(kind)
    readout = "leaky" if loss.readout == "binary" else "leaky_readout"
    if row["rule"] == "eventprop":  # of spikes that a current moves in time
        readout = readout.replace("leaky", "synaptic")
    choices = {"dataset": data_set, "encoder": encoder, "readout": readout, **row}
    # Without classes there is no accuracy to watch.
    values = {"protocol.monitor": "validation_loss"} if kind in ("trace", "spikes") else {}
    if row["firing"] == "soft":  # whose curve needs the slope that belongs to it
        values["surrogate.normalisation"] = "area1"
    sizes = SMALL_NETWORKS.get(row["network"], {})
    if (row["rule"], row["network"]) == ("rtrl", "conv"):  # of at most 50 neurons
        sizes = {"network.channels": [2]}
    if kind == "class_per_step" and "network.channels" in sizes:  # whose data are no pictures
        sizes = {**sizes, "network.image": [1, 9, 5]}
    return choices, SMALL | values | sizes


def spec_of(row: Row) -> RunSpec:
    """Return the specification of a row."""
    return spec_with(*recipe(row))


def mended(made: Recipe, words: Sequence[str]) -> Recipe:
    """Return a recipe with words that a message asks for."""
    choices, values = dict(made[0]), dict(made[1])
    for word in words:
        key, _, value = word.partition("=")
        group = "readout" if key == "neuron@readout" else key
        if group in catalogue.TARGET_GROUPS or group == "readout":
            choices[group] = value
            # What was said of the entry that gives way goes with it.
            values = {name: kept for name, kept in values.items() if not name.startswith(f"{group}.")}
        else:
            values[key] = yaml.safe_load(value)
    return choices, values


def remedies(message: str) -> list[list[str]]:
    """Return the words of each remedy that a message offers behind its last "use"; alternatives stand behind "or".

    >>> remedies("rule=eprop: needs a loss in every step; use loss=per_step and rule.update=per_step, or rule=bptt")
    [['loss=per_step', 'rule.update=per_step'], ['rule=bptt']]
    """
    _, told, asked = message.rpartition("use ")
    words = [WORD.findall(part) for part in re.split(r",? or ", asked)] if told else []
    return [alternative for alternative in words if alternative]


def batch_of(parts: Parts, spec: RunSpec, seed: int = 0) -> Batch:
    """Return random spikes as input, and a random target of the kind that the data set asks for."""
    random = torch.Generator().manual_seed(seed)
    facts = parts.data.data_set
    inputs = parts.encoder.channels(facts.n_inputs)
    dtype = parts.network.readout.weight.dtype
    x = (torch.rand(STEPS, SAMPLES, inputs, generator=random) < 0.4).to(dtype)
    target: Tensor
    if facts.target == "class":
        target = torch.randint(facts.n_classes, (SAMPLES,), generator=random)
    elif facts.target == "class_per_step":
        target = torch.randint(facts.n_classes, (SAMPLES, STEPS), generator=random)
    else:
        target = torch.rand(SAMPLES, STEPS, facts.outputs(), generator=random).to(dtype)
        target = (target < 0.3).to(dtype) if facts.target == "spikes" else target
    return Batch(x, target, LENGTHS, torch.arange(SAMPLES))


def trained(spec: RunSpec) -> Parts:
    """Build a run, train it on one batch and score that batch.

    Raises:
        InputError: it is refused.
        NonFiniteError: a loss, a gradient or a potential is not finite.
    """
    parts = build(spec)
    batch = batch_of(parts, spec)
    loop = TrainLoop(parts.network, parts.rule, parts.objective, clip_norm=None)
    loss = loop.train_batch(batch, parts.optimizer, twice=isinstance(parts.optimizer, Sam))
    assert loss.isfinite()
    parts.network.eval()
    _, _, scored = loop.evaluate(batch)
    assert scored.isfinite()
    return parts
