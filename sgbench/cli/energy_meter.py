"""`sgbench energy meter`: what the host's own meters say while a command runs."""

from __future__ import annotations

import argparse
import subprocess
from dataclasses import asdict

from sgbench.cli import energy
from sgbench.energy.meter import Metered, meters
from sgbench.errors import InputError, require_number
from sgbench.tables import aligned


def answer(args: argparse.Namespace) -> int:
    """Run a command and print what it cost; without one, which meters there are."""
    found, missing = meters()
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        if args.json:
            energy.say_json({"meters": [meter.name for meter in found], "not_available": missing})
        else:
            energy.say([*(meter.name for meter in found), *missing])
        return 0
    idle_s = require_number("--idle", args.idle, low=0, open_low=True)
    if not found:
        raise InputError(f"no meter of energy on this machine: {'; '.join(missing)}")
    codes: list[int] = []

    def work() -> None:
        codes.append(subprocess.run(words, check=False).returncode)  # noqa: S603 - the user's own words

    try:
        readings = Metered(found, idle_s=idle_s).run(work)
    except FileNotFoundError as error:
        raise InputError(f"{words[0]}: no such command") from error
    if args.json:
        energy.say_json([{**asdict(each), "net_j": each.net_j} for each in readings])
    else:
        rows = [["meter", "energy, J", "above idle, J", "seconds", "idle, W"]]
        rows += [
            [
                each.meter,
                f"{each.energy_j:.4g}",
                f"{each.net_j:.4g}",
                f"{each.seconds:.4g}",
                f"{each.idle_w:.3g}",
            ]
            for each in readings
        ]
        energy.say([*aligned(rows, words=1), *missing])
    return codes[0]
