"""Fits a stored run to a chip, and compares its integer version with the simulation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fastspiking.signals.spikes import dense
from fastspiking.signals.trajectory import SPIKES, Trajectory
from sgbench.energy.fit import ChipFit, fit
from sgbench.energy.price import chosen_targets
from sgbench.errors import InputError
from sgbench.exchange.whole_numbers import FINE, Precision, WholeLayer, run_layers
from sgbench.records.energy import Chip, EnergyTarget
from sgbench.training.stored_run import StoredRun, prepare_pass

BITS_OF_QUANTISER = {"int8": 8, "int4": 4, "ternary": 2}
"""Maps quantisers of weights in training to the bits of a weight."""


@dataclass(frozen=True)
class WholeAgreement:
    """Holds how far an integer version of a network agrees with its simulation on validation samples."""

    samples: int  # number of samples
    spikes: int  # number of spikes of all firing layers in the simulation
    differing: int  # number of pairs of a neuron and a sample whose spike counts differ
    same_answers: int  # number of samples with equal predictions
    correct: int  # number of samples that the integer version predicts correctly

    def __str__(self) -> str:
        counts = f"{self.differing:,} counts of a neuron differ" if self.differing else "every neuron as often"
        return (
            f"{self.spikes:,} spikes of {self.samples:,} validation samples, {counts}; {self.same_answers:,} "
            f"answers alike, {100 * self.correct / self.samples:.1f} % right"
        )


def find_chip(name: str, config_dirs: Sequence[Path] = ()) -> EnergyTarget:
    """Look up an energy target that states the limits of a chip; InputError if it has only prices."""
    (target,) = chosen_targets([name], config_dirs).values()
    if target.chip is None:
        raise InputError(
            f"--for {name}: states no limits of a chip, only prices; sgbench energy list {name} shows what is known"
        )
    return target


def require_chip(run: StoredRun, target: EnergyTarget) -> ChipFit:
    """Fit a stored run to one chip; InputError says what does not fit, and how to train so that it does."""
    record = run.record
    if record is None or record.counts is None:
        raise InputError(f"{run.name}: has no operation counts; name a run that finished")
    choices = record.method.choices
    found = fit(record.counts, target=target, neurons={role: choices[role] for role in ("neuron", "readout")})
    problems = [*found.unsupported, *found.changes]
    cores = None if target.chip is None else target.chip.cores
    if found.chips > 1:
        problems.append(f"{found.cores} cores are needed, the chip has {cores}")
    if problems:
        remedy = _quantiser_hint(target) if found.changes else ""
        raise InputError(f"{target.name} cannot hold this network: {'; '.join(problems)}{remedy}")
    return found


def _quantiser_hint(target: EnergyTarget) -> str:
    """Write the end of an error message: the override of quantisers whose weights fit on a chip."""
    most = None if target.chip is None else target.chip.weight_bits
    fitting = [name for name, bits in BITS_OF_QUANTISER.items() if most is None or bits <= most]
    return f"; train with weights={' or '.join(fitting)}" if fitting else ""


def precision_of(chip: Chip) -> Precision | None:
    """Return the precision of a chip's potentials and decays; None if it is not published."""
    if chip.decay_bits is None or chip.below_weight_bits is None:
        return None
    return Precision(chip.below_weight_bits, chip.decay_bits, rounds_to_zero=True)


@torch.no_grad()
def compare_with_simulation(
    run: StoredRun, layers: Sequence[WholeLayer], precision: Precision = FINE
) -> WholeAgreement:
    """Run the validation split through the network and through its integer version, and count where they differ."""
    parts = run.parts
    prepare_pass(run, "validation", 0)
    parts.data.setup()
    totals = np.zeros(5, dtype=np.int64)  # the fields of WholeAgreement, in order
    for batch in parts.data.evaluation("validation"):
        x = dense(batch.x).numpy()
        if (x != np.round(x)).any():
            raise InputError(f"{run.name}: its input is real, and whole numbers need spikes; use another encoder")
        simulated = parts.network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
        sent, answer = run_layers(layers, x.astype(np.int64), precision)
        counts = [layer.sum(0).numpy() for layer in simulated.spikes]  # of each sample and neuron [B, N]
        differing = sum(int((ours.sum(0) != count).sum()) for ours, count in zip(sent, counts, strict=False))
        output = torch.from_numpy(answer).to(simulated.output.dtype)
        simulated_class, integer_class = (
            parts.objective.loss.logits(
                Trajectory(output=values, lengths=batch.lengths, spikes=(), u=(), state=())
            ).argmax(1)
            for values in (simulated.output, output)
        )
        spikes = int(sum(count.sum() for count in counts))
        same, right = ((integer_class == other).sum() for other in (simulated_class, batch.target))
        totals += [len(integer_class), spikes, differing, int(same), int(right)]
    return WholeAgreement(*map(int, totals))
