"""Parses tables of test outputs of tasks without classes: numbers for each step of each sample."""

import re
from dataclasses import dataclass

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.store.predictions import NUMBER, Floats, lines_of, other_columns, table_of

INDICES = ("index", "step")
MAX_OUTPUTS = 1000
MAX_VALUE = 1e30  # so that means of squares stay within the range of records
_LINE = re.compile(rf"\d{{1,9}},\d{{1,9}}(?:,{NUMBER})*")


@dataclass(frozen=True)
class Outputs:
    """Holds targets and outputs of one run on the test set, samples in the order of the split."""

    target: Floats  # [samples, steps, outputs]
    output: Floats  # [samples, steps, outputs]


def parse_outputs(data: bytes, name: str) -> Outputs:
    r"""Read a table of outputs: index, step, a target and an output for each neuron of the readout.

    Every sample occurs once, in order, with equal steps; numbers are plain decimals.

    >>> parse_outputs(b"index,step,target_0,output_0\n0,0,1,0.5\n0,1,0,0.25\n", "it").output.tolist()
    [[[0.5], [0.25]]]
    """
    header, body = lines_of(data, name)
    count = _count_outputs(header, name)
    table = table_of(body, _LINE, len(INDICES) + 2 * count, name)
    steps = _steps(table[:, : len(INDICES)], name)
    values = table[:, len(INDICES) :]
    if not (np.abs(values) <= MAX_VALUE).all():
        raise InputError(f"{name}: a value is beyond {MAX_VALUE:g}")
    shaped = values.reshape(-1, steps, 2, count)
    return Outputs(shaped[:, :, 0], shaped[:, :, 1])


def _count_outputs(header: str, name: str) -> int:
    count, rest = divmod(header.count(",") + 1 - len(INDICES), 2)
    if rest or not 1 <= count <= MAX_OUTPUTS:  # checked before names are made for all of them
        raise other_columns(name, header, "index,step,target_0,...,output_0,...")
    kinds = [f"{kind}_{number}" for kind in ("target", "output") for number in range(count)]
    if header.split(",") != [*INDICES, *kinds]:
        raise other_columns(name, header, ",".join([*INDICES, *kinds]))
    return count


def _steps(indices: Floats, name: str) -> int:
    """Return the count of steps of each sample; `indices` [lines, 2] are sample and step of each line."""
    steps = int((indices[:, 0] == indices[0, 0]).sum())
    line = np.arange(len(indices))
    wrong = np.flatnonzero((indices[:, 0] != line // steps) | (indices[:, 1] != line % steps))
    if len(wrong) or len(indices) % steps:
        row = int(wrong[0]) if len(wrong) else len(indices) - 1
        raise InputError(
            f"{name}: line {row + 2} is out of order; state each step of each sample once, {steps} a sample"
        )
    return steps
