"""`sgbench energy fit`: whether a network fits a chip."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from sgbench.cli import energy
from sgbench.energy.fit import Fit, fit
from sgbench.tables import aligned


def answer(args: argparse.Namespace) -> int:
    """Print how a record's network fits a chip; 1 where it does not."""
    record, counts = energy.read_record(args.record)
    (target,) = energy.pick([args.target], args.config_dir).values()
    choices = record.method.choices
    found = fit(counts, target=target, neurons={role: choices[role] for role in ("neuron", "readout")})
    if args.json:
        energy.say_json({**asdict(found), "fits": found.fits})
    else:
        energy.say(report(found))
    return 0 if found.fits else 1


def report(found: Fit) -> list[str]:
    """The answer in words, its reasons, and what nobody checked."""
    rows = [["layer", "first core", "cores", "because of"]]
    rows += [[each.layer, str(each.first_core), str(each.cores), each.decides] for each in found.pieces]
    verdict = "fits, as far as was checked" if found.fits else "does not fit"
    size = f"cores: {found.cores}, chips: {found.chips}"
    return [
        f"{found.target}: {verdict}; {size}",
        "",
        *aligned(rows, words=1),
        "",
        *[f"not supported: {each}" for each in found.unsupported],
        *[f"to be changed: {each}" for each in found.changes],
        *[f"not checked: {each}" for each in found.unchecked],
        f"source ({found.mark}): {found.source}",
    ]
