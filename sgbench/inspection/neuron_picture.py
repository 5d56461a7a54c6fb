"""A neuron as the numbers of its picture."""

from __future__ import annotations

import torch

from sgbench.inspection.neuron_response import Response, rates, response, spike_train, step_current
from sgbench.neurons.base import Neuron
from sgbench.neurons.sequence import SequenceNeuron
from sgbench.plots.neuron import NeuronPicture, ResponseCurve, ResponseCurves

SENT = {
    "binary": "spikes",
    "signed": "signed spikes",
    "integer": "spike counts",
    "real": "output",
}


@torch.no_grad()
def neuron_picture(name: str, neuron: Neuron, formula: str = "") -> NeuronPicture:
    """Collect what the picture of a neuron shows.

    Args:
        name: of the entry.
        neuron: a layer of one.
        formula: a line of mathematics above the picture.
    """
    responses = (
        _curves("a step of current", response(neuron, step_current(neuron))),
        _curves("a train of spikes", response(neuron, spike_train(neuron))),
    )
    rate = rates(neuron)
    is_sequence = isinstance(neuron, SequenceNeuron)
    return NeuronPicture(
        name=name,
        formula=formula,
        potential_label="potential \u2212 threshold" if is_sequence else "potential u",
        sent_label=SENT[neuron.sends],
        is_binary=neuron.sends == "binary",
        responses=responses,
        rate=ResponseCurve(rate.current.numpy(), rate.sent.numpy()),
    )


def _curves(title: str, measured: Response) -> ResponseCurves:
    return ResponseCurves(
        title=title,
        current=measured.current.numpy(),
        sent=measured.sent.numpy(),
        potential=measured.potential.numpy(),
        threshold=None if measured.threshold is None else measured.threshold.numpy(),
        states={name: values.numpy() for name, values in measured.others.items()},
    )
