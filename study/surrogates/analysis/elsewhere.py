"""What other parts of the product have measured: figures of reproductions and scores of boards, as committed."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.board import VALUES
from sgbench.records.files import read_bytes
from sgbench.reproduction.figures import FIGURES, read_figures
from sgbench.statistics.blocks import Contrast, contrast_from

REPRODUCTIONS = Path("docs") / "reproductions" / FIGURES
BOARDS = Path("leaderboards")
RULE_COSTS = Path("benchmarks") / "results" / "rules.json"
SEED_COLUMN = "test_accuracy_seed_"
PERCENT = 100.0


@dataclass(frozen=True)
class ReproducedFigure:
    """Holds one figure of a reproduction: mean and standard deviation over seeds, None where it is not measured."""

    published: str
    mean: float | None  # 1e-12, without a deviation, where it is less
    deviation: float | None
    seeds: int
    verdict: str

    @property
    def agrees(self) -> bool:
        return self.verdict == "agrees"

    @property
    def estimate(self) -> Contrast | None:
        """Compute the mean with its interval of 95 % and p-value against 0; None without a spread over seeds."""
        if self.mean is None or self.deviation is None or self.seeds < 2:  # noqa: PLR2004 - no spread of one
            return None
        return contrast_from(self.mean, self.deviation / self.seeds**0.5, self.seeds - 1, self.seeds)


@dataclass(frozen=True)
class RuleCost:
    """Holds what a learning rule took in the benchmark of rules: time over back-propagation's, and added memory."""

    times: float
    low: float
    high: float
    added_mib: float


@dataclass(frozen=True)
class Elsewhere:
    """Holds what a checkout has beside a study's store."""

    # of reproductions, by the reproduction's name and the figure's line
    figures: Mapping[str, Mapping[str, ReproducedFigure]] = field(default_factory=dict)
    # scores in points, by protocol, by rule and network as the board writes them, and by seed
    boards: Mapping[str, Mapping[tuple[str, str], Mapping[int, float]]] = field(default_factory=dict)
    # by the name that the benchmark of learning rules has for a rule
    rule_costs: Mapping[str, RuleCost] = field(default_factory=dict)


def files_read(protocols: tuple[str, ...]) -> list[Path]:
    """List the files of a checkout that `read_elsewhere` reads."""
    return [REPRODUCTIONS, RULE_COSTS, *(BOARDS / protocol / VALUES for protocol in protocols)]


def read_elsewhere(root: Path, protocols: tuple[str, ...]) -> Elsewhere:
    """Read the committed results of a checkout, those that are there."""
    paths = {protocol: root / BOARDS / protocol / VALUES for protocol in protocols}
    boards = {protocol: _read_board(path) for protocol, path in paths.items() if path.is_file()}
    page, costs = root / REPRODUCTIONS, root / RULE_COSTS
    return Elsewhere(read_reproduced(page), boards, read_rule_costs(costs) if costs.is_file() else {})


def read_reproduced(path: Path) -> dict[str, dict[str, ReproducedFigure]]:
    """Map each reproduction to its figures by line."""
    return {
        name: {
            one.line: ReproducedFigure(one.published, one.ours, one.deviation, one.seeds, one.verdict)
            for one in found.figures
        }
        for name, found in read_figures(path).items()
    }


def read_rule_costs(path: Path) -> dict[str, RuleCost]:
    """Read time and memory of each rule, measured on a recurrent layer at the shortest sequence."""
    try:
        measured = json.loads(read_bytes(path))
        steps = str(min(measured["settings"]["lengths"]))
        return {
            name: RuleCost(
                *(float(one["times_baseline"][end]) for end in ("median", "low", "high")),
                added_mib=float(one["added_bytes"][steps]) / 1024**2,
            )
            for name, one in measured["recurrence"]["all_to_all"].items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not what the benchmark of learning rules writes") from error


def _read_board(path: Path) -> dict[tuple[str, str], dict[int, float]]:
    """Map rule and network of each row of a board's CSV to its scores by seed, in percent."""
    scores: dict[tuple[str, str], dict[int, float]] = {}
    for row in csv.DictReader(read_bytes(path).decode().splitlines()):
        by_seed = {
            int(name.removeprefix(SEED_COLUMN)): PERCENT * float(value)
            for name, value in row.items()
            if name.startswith(SEED_COLUMN) and value
        }
        scores[row.get("rule") or "", row.get("network") or ""] = by_seed
    return scores
