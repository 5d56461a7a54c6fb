"""A learnt spiking encoder of analogue input, before dense layers."""

from collections.abc import Sequence

from sgbench.errors import require_choice, require_count, require_counts, require_flag
from sgbench.networks.base import Chain, DenseLayer, Provided, readout_layer, require_recurrence
from sgbench.networks.population import PopulationLayer

WIRINGS = ("one_to_one", "all_to_all")


class Encoded(Chain):
    r"""Wires a learnt encoder, dense layers after it, and a readout.

    The encoder's neurons convert analogue input to spikes by learnt weights and biases, in place of a fixed code.
    Each input has its own population of neurons (`one_to_one`), or as many neurons receive all inputs
    (`all_to_all`). Analogue input costs a multiplication per synapse: use it with `encoder=direct`, or with traces.
    Later layers receive spikes.

    Args:
        provided: parts of the run to build from.
        population: number of the encoder's neurons per input.
        wiring: "one_to_one" or "all_to_all".
        widths: number of neurons of each hidden layer after the encoder; may be empty.
        recurrence: recurrence of these layers, "none", "one_to_one" or "all_to_all".
        recurrence_gradient: "full" or "cut" (no gradient through recurrent spikes).
        bias: whether layers, with the encoder, have biases.

    Raises:
        InputError: a value out of range.

    Source: Wu, Deng, Li, Zhu, Xie & Shi 2019, AAAI 33 (a trained layer of spiking neurons as encoder); Tang, Kumar,
    Yoo & Michmizos 2021, CoRL, arXiv:2010.09635 (trained populations, one for each input).
    """

    def __init__(
        self,
        provided: Provided,
        *,
        population: int,
        wiring: str,
        widths: Sequence[int],
        recurrence: str,
        recurrence_gradient: str,
        bias: bool,
    ) -> None:
        super().__init__()
        require_count("network.population", population)
        require_choice("network.wiring", wiring, WIRINGS)
        require_recurrence(recurrence, recurrence_gradient)
        require_flag("network.bias", bias)
        n_inputs = provided.n_inputs
        size = n_inputs * population
        neuron = provided.make_neuron(size)
        layers: list[PopulationLayer | DenseLayer] = [
            PopulationLayer("encoder", n_inputs, population, neuron, bias=bias)
            if wiring == "one_to_one"
            else DenseLayer("encoder", n_inputs, size, neuron, bias=bias)
        ]
        recurrent = {"recurrence": recurrence, "recurrence_gradient": recurrence_gradient}
        sizes = require_counts("network.widths", widths, "a list of layer sizes such as [64] or []", may_be_empty=True)
        for position, width in enumerate(sizes):
            new_layer = DenseLayer(
                f"hidden{position}", size, width, provided.make_neuron(width), bias=bias, **recurrent
            )
            layers.append(new_layer)
            size = width
        layers.append(readout_layer(size, provided, bias=bias))
        self.set_up(layers, provided)
