"""Train small random runs on every engine and as replicas, and report each that differs from the reference.

    python -m tests.search_engines --minutes 10 --seed 3
    python -m tests.search_engines --case 3:17

A case is a function of its seed and its number. It trains some batches for two or three epochs in float64, moved by
its own optimiser, and compares losses, weights, logits, rates and scores with the engine `reference` after every
batch and every pass. Some cases are chains of snnTorch's modules that `sgbench.accelerate` runs.
"""

import argparse
import itertools
import logging
import math
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TextIO

import torch

from sgbench.errors import one_printable_line
from tests.search_engines.accelerated import Accelerated, random_chain
from tests.search_engines.outcome import Outcome
from tests.search_engines.random_runs import random_run
from tests.search_engines.runs import Run

CHAINS = 0.1
"""Share of cases that `accelerate` runs."""
REPORT_S = 10.0


def case_of(seed: int, number: int) -> Run | Accelerated:
    random = Random(f"{seed}:{number}")  # noqa: S311 - no secret
    return random_chain(random) if random.random() < CHAINS else random_run(random)


def checked(case: Run | Accelerated) -> tuple[Outcome, str]:
    try:
        return case.check(), ""
    except Exception as error:
        finding = f"{type(error).__name__}: {one_printable_line(error)}"
        return Outcome(1, finding), traceback.format_exc()


@dataclass
class Tally:
    """Counts what a search has done."""

    began_s: float = field(default_factory=time.monotonic)
    cases: int = 0
    compared: int = 0
    refused: int = 0
    found: int = 0

    @property
    def took_s(self) -> float:
        """Return the seconds since the search began."""
        return time.monotonic() - self.began_s

    def add(self, outcome: Outcome) -> None:
        self.cases += 1
        self.compared += outcome.compared
        self.refused += outcome.refusal is not None
        self.found += outcome.finding is not None

    def __str__(self) -> str:
        return (
            f"{self.took_s:.0f} s: {self.cases} cases, {self.refused} of them refused, "
            f"{self.compared} comparisons, {self.found} differ"
        )


def search(places: Iterable[tuple[int, int]], most_s: float) -> int:
    """Check cases until there are no more or the time is over, and return how many differ."""
    tally = Tally()
    reported_s = 0.0
    for seed, number in places:
        if tally.took_s > most_s:
            break
        case = case_of(seed, number)
        outcome, trace = checked(case)
        tally.add(outcome)
        if outcome.finding is not None:
            _say(
                f"case {seed}:{number} after {tally.took_s:.0f} s: {outcome.finding}\n{trace}"
                f"  again: python -m tests.search_engines --case {seed}:{number}\n  words: {case}"
            )
        if tally.took_s - reported_s > REPORT_S:
            reported_s = tally.took_s
            _say(tally, stream=sys.stderr)
    _say(tally)
    return tally.found


def _say(line: object, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(f"{line}\n")
    (stream or sys.stdout).flush()


def place_of(word: str) -> tuple[int, int]:
    seed, _, number = word.partition(":")
    return int(seed), int(number)


def main(words: Sequence[str] | None = None) -> int:
    """Run the command, and return 1 if something differs."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.search_engines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="after which no case is begun (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the cases (default: 0)")
    parser.add_argument("--cases", type=int, help="how many at most (default: as many as there is time for)")
    parser.add_argument("--case", type=place_of, metavar="SEED:NUMBER", help="check this one alone")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    logging.getLogger("sgbench").setLevel(logging.ERROR)
    if given.case is not None:
        _say(case_of(*given.case))
        return int(search([given.case], math.inf) > 0)
    numbers = itertools.count() if given.cases is None else range(given.cases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return int(search(((given.seed, number) for number in numbers), 60 * given.minutes) > 0)


if __name__ == "__main__":
    sys.exit(main())
