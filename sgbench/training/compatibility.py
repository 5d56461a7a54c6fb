"""Checks that the parts of a run fit together, made before training."""

from sgbench.datasets.base import DataSet
from sgbench.errors import InputError
from sgbench.firing.base import Firing
from sgbench.networks.base import Network, surrogates
from sgbench.records.spec import RunSpec, check_band
from sgbench.rules.base import LearningRule, Objective
from sgbench.rules.bptt import Bptt

LOSSES = {
    "class": ("max_over_time", "any"),
    "class_per_step": ("label_per_step", "any"),
    "trace": ("mean_squared_error", "real"),
    "spikes": ("van_rossum", "binary"),
}
"""Maps each kind of target to a loss for it, and the kind of output that this loss needs."""
READOUTS = {"binary": "leaky", "real": "leaky_readout"}
"""Maps each kind of output to a readout neuron that has it."""
SAM = "sgbench.optimizers.sam.Sam"


def check_parts(spec: RunSpec, data_set: DataSet, network: Network, rule: LearningRule, objective: Objective) -> None:
    """Raise an InputError, with a remedy, if parts of a run do not fit together or the protocol excludes them."""
    _check_target(spec, data_set, network, objective)
    check_band(spec.method, network.deployed_numbers)
    _check_fit(spec, network, objective)
    _check_weights(spec, network, rule)
    _check_whole_gradient(spec, rule)
    _check_coarse(spec, rule)
    _check_devices(spec, network, rule)


def _check_target(spec: RunSpec, data_set: DataSet, network: Network, objective: Objective) -> None:
    """Check that the loss, and the score by which epochs are selected, exist for the data set's kind of target."""
    if data_set.target not in objective.loss.targets:
        loss, output = LOSSES[data_set.target]
        readout_fits = not network.spiking or output in ("any", network.readout.neuron.output)
        readout = "" if readout_fits else f" and neuron@readout={READOUTS[output]}"
        choices = spec.method.choices
        raise InputError(
            f"loss={choices['loss']}: for targets of the kind {' or '.join(objective.loss.targets)}, but "
            f"dataset={choices['dataset']} has {data_set.target}; use loss={loss}{readout}"
        )
    if data_set.target in ("trace", "spikes") and spec.method.protocol.monitor == "validation_accuracy":
        raise InputError(
            f"protocol.monitor=validation_accuracy: dataset={spec.method.choices['dataset']} has no classes; "
            f"use protocol.monitor=validation_loss"
        )


def _check_weights(spec: RunSpec, network: Network, rule: LearningRule) -> None:
    """Check, for quantised weights, that the rule is back-propagation and that nothing is folded into the weights."""
    if not any(getattr(layer, "weight_bits", None) for layer in network.layers):
        return
    choices = spec.method.choices
    if not isinstance(rule, Bptt):
        raise InputError(
            f"weights={choices['weights']}: rule={choices['rule']} sets gradients of the weights themselves; use "
            "rule=bptt or weights=float"
        )
    if any(layer.normaliser is not None for layer in network.hidden_layers):
        raise InputError(
            f"weights={choices['weights']}: normalisation={choices['normalisation']} goes into the weights, which "
            "would then be no longer quantised; use normalisation=none or weights=float"
        )


def _check_whole_gradient(spec: RunSpec, rule: LearningRule) -> None:
    """Check, for accumulated batches and for SAM, that the rule yields one gradient per batch; both exclude another."""
    accumulated = spec.method.protocol.accumulated_batches
    override = None if accumulated is None else f"protocol.accumulated_batches={accumulated}"
    if spec.targets["optimizer"] == SAM:
        optimizer = f"optimizer={spec.method.choices['optimizer']}"
        if override is not None:
            raise InputError(
                f"{override}: {optimizer} looks at each batch twice; use protocol.batch_size for larger batches"
            )
        override = optimizer
    if override is not None and not (isinstance(rule, Bptt) and rule.update == "per_sequence"):
        chosen = spec.method.choices["rule"]
        lacks = "rule.update=per_window" if isinstance(rule, Bptt) else f"rule={chosen}"
        remedy = "rule.update=null" if isinstance(rule, Bptt) else "rule=bptt"
        raise InputError(f"{override}: needs the gradient of a whole batch, which {lacks} has not; use {remedy}")


def _check_devices(spec: RunSpec, network: Network, rule: LearningRule) -> None:
    """Check, for several processes, that the gradient of a batch is the mean of those of its parts."""
    count, choices = spec.trainer.devices, spec.method.choices
    if count == 1:
        return
    of_whole_batch = {group: choices[group] for group in ("normalisation", "dropout", "regulariser")}
    reasons = [  # (whether it applies, reason)
        (spec.trainer.device != "cpu", f"trainer.device={spec.trainer.device}: processes meet on a CPU alone"),
        (not isinstance(rule, Bptt) or rule.update != "per_sequence", "rules other than whole rule=bptt step apart"),
        (spec.targets["optimizer"] == SAM, "optimizer=sam asks for a second gradient"),
        *((name != "none", f"{group}={name} is of a whole batch") for group, name in of_whole_batch.items()),
        (any(s.stochastic for s in surrogates(network)), "spikes that are drawn differ from those of one process"),
    ]
    refused = next((reason for applies, reason in reasons if applies), None)
    if refused is not None:
        raise InputError(f"trainer.devices={count}: {refused}; use trainer.devices=1")


def _check_coarse(spec: RunSpec, rule: LearningRule) -> None:
    """Check, for bfloat16, that the rule is back-propagation, since others sum gradients in float32."""
    if spec.method.protocol.precision == "bfloat16" and not isinstance(rule, Bptt):
        raise InputError(
            f"protocol.precision={spec.method.protocol.precision}: rule={spec.method.choices['rule']} makes sums "
            "of its own in float32; use rule=bptt or protocol.precision=float32"
        )


def _check_fit(spec: RunSpec, network: Network, objective: Objective) -> None:
    """Check that numbers of steps agree, and that neurons, resets, readout and loss fit the spikes that are sent."""
    choices = spec.method.choices
    for group in ("encoder", "network"):
        steps = spec.method.parameters[group].get("steps", spec.method.protocol.steps)
        if steps != spec.method.protocol.steps:
            raise InputError(
                f"{group}.steps={steps}: the protocol has {spec.method.protocol.steps}; set protocol.steps"
            )
    if not network.spiking:
        if objective.loss.on_times and network.readout.neuron.output != "binary":
            raise InputError(
                f"loss={choices['loss']}: network={choices['network']} has outputs that send no spikes; "
                f"use loss=max_over_time or network=first_spike"
            )
        return
    for surrogate in surrogates(network):
        if isinstance(surrogate.firing, Firing):
            surrogate.firing.check(surrogate)
    graded = next((surrogate.output for surrogate in surrogates(network) if surrogate.output != "binary"), None)
    if graded is not None and spec.method.parameters["neuron"].get("reset") == "zero":
        raise InputError(
            f"neuron.reset=zero: the neurons send {graded} spikes, which such a reset cannot count; "
            f"use neuron.reset=subtract"
        )
    if any(layer.neuron.output != "binary" for layer in network.hidden_layers):
        raise InputError(f"neuron={choices['neuron']}: does not fire, so it can only be a readout; use neuron=leaky")
    wanted, emitted = objective.loss.readout, network.readout.neuron.output
    if wanted not in ("any", emitted):
        kind = "spiking" if wanted == "binary" else "non-spiking"
        raise InputError(f"loss={choices['loss']}: needs a {kind} readout; use neuron@readout={READOUTS[wanted]}")
