"""Operation counts against a walk over every synapse, neuron and step.

Legend: T steps, B batch, N neurons. Only the spikes are taken from the network; what they cost is counted anew.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given

from fastspiking.signals.trajectory import SPIKES
from tests.energy.counted import NOTHING, Case, cases, count, few, inside, totals

ARITHMETIC = {  # multiplications, additions, comparisons, state words per neuron and step, from the equations
    "leaky": (1, 2, 1, 1),  # beta u; + I, - theta s; > theta; u
    "synaptic": (2, 3, 1, 2),  # alpha i, beta u; + I, + i, - theta s; > theta; i and u
    "alif": (3, 4, 1, 2),  # rho a, beta u, kappa a; + s, + I, - theta s, theta + kappa a; > threshold; a and u
    "adlif": (5, 5, 1, 2),  # rho w, a u, beta u, gain I, gain w; + a u, + b s, - w, + I, - theta s; > theta; w and u
    "leaky_readout": (1, 1, 0, 1),  # kappa y; + I; y
}


def walk(case: Case) -> list[dict[str, Any]]:
    """Count with one `if` per synapse, neuron, step and sample."""
    trajectory = case.network.unroll(case.batch.x, case.batch.lengths, keep=frozenset({SPIKES}))
    signals = [case.batch.x.tolist(), *(spikes.tolist() for spikes in trajectory.spikes)]
    layers = []
    for depth, layer in enumerate(case.network.layers):
        tally: Counter[str] = Counter()
        spiking = depth + 1 < len(signals)
        for b, length in enumerate(case.batch.lengths.tolist()):
            for t in range(length):
                for n in range(layer.weight.shape[0]):
                    own = signals[depth + 1][t][b] if spiking else None
                    before = signals[depth + 1][t - 1][b] if spiking and t > 0 else None
                    one_neuron(tally, n, signals[depth][t][b], own, before, layer.recurrence)
        is_readout = depth == len(case.network.layers) - 1
        kind = case.readout if is_readout else case.kind
        source_kind = case.input_kind if depth == 0 else "binary"
        names = ["input", *(f"hidden{k}" for k in range(depth)), layer.name]
        layers.append(as_totals(tally, kind, source_kind, names[depth], names[depth + 1], layer.recurrence, layer.bias))
    return layers


def one_neuron(tally, n, sources, own, before, recurrence):
    """One neuron in one step."""
    reached = False
    for value in sources:
        tally["dense"] += 1
        if value != 0:
            tally["effective"] += 1
            reached = True
    for m in {"none": [], "one_to_one": [n], "all_to_all": range(len(own or []))}[recurrence]:
        tally["recurrent dense"] += 1
        if before is not None and before[m] != 0:
            tally["recurrent"] += 1
            reached = True
    tally["updates"] += 1
    tally["reached"] += reached
    tally["spikes"] += own is not None and own[n] != 0


def as_totals(tally, kind, source_kind, source, name, recurrence, bias):
    """The tally under the record's names."""
    multiplications, additions, comparisons, words = ARITHMETIC[kind]
    operation = {"binary": "accumulate", "real": "multiply_accumulate"}[source_kind]
    synapses = [(source, "all_to_all", operation, tally["effective"], tally["dense"])]
    if recurrence != "none":
        synapses.append((name, recurrence, "accumulate", tally["recurrent"], tally["recurrent dense"]))
    biases = 0 if bias is None else tally["updates"]
    return {
        "synapses": synapses,
        "neuron_updates": tally["updates"],
        "neuron_updates_with_input": tally["reached"],
        "neuron_multiplications": multiplications * tally["updates"],
        "neuron_additions": additions * tally["updates"],
        "neuron_comparisons": comparisons * tally["updates"],
        "spikes_sent": tally["spikes"],
        "bias_additions": biases,
        "weight_reads": biases + tally["effective"] + tally["recurrent"],
        "state_reads": words * tally["updates"],
        "state_writes": words * tally["updates"],
        **NOTHING,
    }


@few
@given(cases)
def test_equals_a_walk_over_everything(case):
    """Expected: brute force, with each neuron's arithmetic read off its equations."""
    counts = count(case.network, case.batch, input_kind=case.input_kind)
    assert totals(counts) == walk(case)
    assert counts.samples == len(case.batch.lengths)
    assert counts.steps == sum(case.batch.lengths.tolist())
    assert counts.input_events.total == int((case.batch.x != 0)[inside(case.batch)].sum())


def test_the_walk_sees_every_kind_of_event():
    """A guard: in this case of the strategy's kind no tally is empty or full, so equality says something."""
    options = {"recurrence": "all_to_all", "bias": True, "kind": "leaky", "readout": "leaky"}
    case = Case(17, [4, 3], input_kind="real", **options)
    for layer in walk(case):
        assert all(value > 0 for name, value in layer.items() if name not in NOTHING and name != "synapses")
        assert all(0 < effective < dense for *_, effective, dense in layer["synapses"])
        assert layer["neuron_updates_with_input"] < layer["neuron_updates"]
