"""`sgbench energy validate`: published measurements against what the prices predict."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sgbench.cli import energy
from sgbench.energy.interval import Interval
from sgbench.energy.text import joules_interval
from sgbench.energy.validate import Verdict, load_cases, validate
from sgbench.errors import InputError
from sgbench.records.files import read_bytes, write_atomic
from sgbench.tables import aligned

BEGIN, END = "<!-- energy:validate -->", "<!-- /energy -->"
WATTS = {"J": "W", "mJ": "mW", "uJ": "uW", "nJ": "nW", "pJ": "pW"}


def answer(args: argparse.Namespace) -> int:
    """Print the table; a case that fails is a finding about prices, not about this command."""
    verdicts = validate(load_cases(args.config_dir), energy.pick([], args.config_dir))
    if args.json:
        energy.say_json([{**asdict(each), "ratio": each.ratio, "inside": each.inside} for each in verdicts])
    elif args.update is not None:
        update(args.update, markdown(verdicts))
    elif args.markdown:
        energy.say(markdown(verdicts))
    else:
        energy.say([*aligned(rows(verdicts), words=8), "", summary(verdicts)])
    return 0


def rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """The table, its head first."""
    head = ["case", "what", "target", "predicted", "measured", "ratio", "inside", "likely missing"]
    return [
        head,
        *[
            [
                each.case,
                each.label,
                each.target,
                amount(each.predicted_nj, each.per),
                amount(each.measured_nj, each.per),
                f"{each.ratio:.3g}",
                "yes" if each.inside else "NO",
                each.why or "",
            ]
            for each in verdicts
        ],
    ]


def amount(energy_nj: Interval, per: str) -> str:
    """An energy of one inference, or of one second as a power.

    >>> amount(Interval(68e6, 68e6, 68e6), "second")
    '68 mW'
    """
    text = joules_interval(energy_nj)
    if per != "second":
        return text
    for joule, watt in WATTS.items():
        text = text.replace(f" {joule}", f" {watt}")
    return text


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many hold."""
    inside = sum(each.inside for each in verdicts)
    return f"{inside} of {len(verdicts)} predictions hold; ratio: predicted over measured"


def markdown(verdicts: Sequence[Verdict]) -> list[str]:
    """The table of the documentation."""
    head, *body = rows(verdicts)
    lines = ["| " + " | ".join(head) + " |", "| --- | --- | --- | --- | --- | --: | --- | --- |"]
    return [*lines, *["| " + " | ".join(row) + " |" for row in body], "", summary(verdicts) + "."]


def update(path: Path, lines: Sequence[str]) -> None:
    """Put the table between its markers in a document.

    Raises:
        InputError: the document cannot be read, or has no markers.
    """
    text = read_bytes(path).decode()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise InputError(f"{path}: the markers {BEGIN} and {END} are needed, the table goes between them")
    table = "".join(f"{line}\n" for line in lines)
    write_atomic(path, f"{head}{BEGIN}\n{table}{END}{tail}".encode())
