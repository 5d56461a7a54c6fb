"""What settings lose on each network and task, and the three claims about one answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from sgbench.study_runner.scores import Score, StudyScores
from study.reporting.evidence import TriedSettings
from study.reporting.verdicts import HypothesisResult, corrected, p_below


class SurrogateSetting(NamedTuple):
    """Names a surrogate, its width and the gradient of the reset."""

    surrogate: str
    width_fwhm: float | None
    reset: str

    def __str__(self) -> str:
        width = "" if self.width_fwhm is None else f" {self.width_fwhm:g}"
        return f"`{self.surrogate}`{width}, {self.reset}"


SETTINGS = (
    SurrogateSetting("sigmoid", 0.5, "attached"),
    SurrogateSetting("atan", 0.2, "attached"),
    SurrogateSetting("atan", 0.5, "attached"),
    SurrogateSetting("atan", 0.1, "attached"),
    SurrogateSetting("triangle", 0.5, "attached"),
    SurrogateSetting("triangle", 1.0, "attached"),
    SurrogateSetting("fast_sigmoid", 0.1, "detached"),
    SurrogateSetting("snntorch/fast_sigmoid", None, "detached"),
)
ONE, OTHER, FORMER = SETTINGS[:3]
"""The setting that is tested as one answer, its partner in the pair, and the former advice."""
PAIR, LATER_PAIR = (ONE, OTHER), (ONE, FORMER)
STARTS = ("quiet", "driven")
FAMILIES = {"order": "order", "flip": "flip_flop", "response": "delayed_response", "match": "delayed_response"}
"""By the first word of a task, the generator that several tasks share."""
CHOOSING = (("B1", "B2"), ("F1",))
DECIDING, LATER = ("B3", "B4"), ("B5", "B6")
"""Blocks whose seeds decide the first three claims and the advice, and those with the seeds of the fourth claim."""
FEWEST_TASKS = 6
WORST, MOST_ABOVE = 8.0, 2
"""Loss that at most so many networks may exceed, for one answer to be confirmed."""
LIMIT = 10.0
"""Points that the advised setting loses on its worst network at most, where there is such a setting."""


@dataclass(frozen=True)
class NetworkRuns(TriedSettings):
    """Holds the runs that compare all settings on one network."""

    task: str  # without its start
    start: str
    runs: Mapping[SurrogateSetting, Mapping[int, Score]]
    best: SurrogateSetting  # as the seeds that choose have it

    def loss(self, *tried: SurrogateSetting) -> float:
        """Return what is lost to the best setting if the better of some settings by validation is kept [points]."""
        return self.mean(self.best) - self.mean_kept(*tried)

    @property
    def name(self) -> str:
        return f"{self.task}_{self.start}"


def setting_of(cell: Mapping[str, object]) -> SurrogateSetting:
    width = cell["width_fwhm"]
    return SurrogateSetting(
        str(cell["surrogate"]), None if width is None else float(str(width)), str(cell["neuron.reset_gradient"])
    )


def networks_of(scores: StudyScores, blocks: Sequence[str], choosing: Sequence[str]) -> list[NetworkRuns]:
    """Collect the networks whose every planned run of some blocks is stored.

    `choosing`: the blocks whose runs chose the learning rates and the best settings.
    """
    study_blocks = scores.study.blocks
    networks = []
    for name in dict.fromkeys(task for block in choosing for task in study_blocks[block].tasks):
        planned: set[int] = set()
        for block in blocks:
            if name in study_blocks[block].tasks:
                planned.update(study_blocks[block].seeds.values)
        runs: dict[SurrogateSetting, dict[int, Score]] = {}
        for run in _runs_of(scores, blocks, name):
            runs.setdefault(setting_of(run.cell), {})[run.seed] = run
        if set(runs) == set(SETTINGS) and all(set(by_seed) == planned for by_seed in runs.values()):
            task, _, start = name.rpartition("_")
            networks.append(NetworkRuns(task, start, runs, _best(_runs_of(scores, choosing, name))))
    return networks


def _runs_of(scores: StudyScores, blocks: Sequence[str], task: str) -> list[Score]:
    return [run for block in blocks for run in scores.block(block) if run.task == task]


def _best(runs: Iterable[Score]) -> SurrogateSetting:
    """Choose the setting with the best mean validation accuracy at its own rate, of equal ones the first."""
    validation: dict[SurrogateSetting, dict[object, list[float]]] = {}  # by setting and learning rate
    for run in runs:
        by_rate = validation.setdefault(setting_of(run.cell), {})
        by_rate.setdefault(run.cell["optimizer.lr"], []).append(run.validation)
    best = {setting: max(map(fmean, by_rate.values())) for setting, by_rate in validation.items()}
    return max(SETTINGS, key=lambda setting: round(best[setting], 9))


def compared(scores: StudyScores, blocks: Sequence[str] = DECIDING) -> tuple[list[NetworkRuns], bool]:
    """Return the recurrent networks with all seeds of some blocks, and whether none is missing."""
    networks = networks_of(scores, blocks, CHOOSING[0])
    return networks, len(networks) == sum(len(scores.study.blocks[name].tasks) for name in CHOOSING[0])


def chosen_anew(networks: Sequence[NetworkRuns], before: Sequence[NetworkRuns]) -> list[NetworkRuns]:
    """Give networks the settings that are best by mean validation in other runs of the same networks, `before`."""
    best = {}
    for network in before:
        validation = {
            setting: round(fmean(run.validation for run in runs.values()), 9) for setting, runs in network.runs.items()
        }
        best[network.name] = max(SETTINGS, key=validation.__getitem__)
    return [replace(network, best=best[network.name]) for network in networks]


def later_claim(networks: Sequence[NetworkRuns], *, whole: bool) -> HypothesisResult:
    """Decide the claim about the pair that the first seeds picked, on seeds that took no part in it."""
    found = by_task(networks, *LATER_PAIR)
    seeds = str(max((len(network.runs[network.best]) for network in networks), default=0))
    result = HypothesisResult("B4", CLAIMS["B4"], f"{len(found)} tasks, two starts", seeds)
    if not whole or len(found) < FEWEST_TASKS:
        return result
    below = p_below(found.values(), 2.0)
    confirmed = below if worst(networks, *LATER_PAIR)[0] <= LIMIT else 1.0
    return corrected([replace(result, p_confirmed=confirmed, p_refuted=1 - below)])[0]


def by_task(networks: Iterable[NetworkRuns], *tried: SurrogateSetting) -> dict[str, float]:
    """Average the losses of each task over those of its starts that count."""
    found: dict[str, list[float]] = {}
    for network in networks:
        if network.learns:
            found.setdefault(network.task, []).append(network.loss(*tried))
    return {task: fmean(losses) for task, losses in found.items()}


def driven_gain(networks: Sequence[NetworkRuns], setting: SurrogateSetting, *, without: str = "") -> dict[str, float]:
    """Return by task the accuracy from the driven start minus that from the quiet one, where both count.

    `setting`: whose accuracies are compared; `without`: the family that is left out.
    """
    pairs: dict[str, dict[str, float]] = {}
    for network in networks:
        if network.learns and (not without or family(network.task) != without):
            pairs.setdefault(network.task, {})[network.start] = network.mean(setting)
    return {task: one["driven"] - one["quiet"] for task, one in pairs.items() if len(one) == len(STARTS)}


def family(task: str) -> str:
    """Return the generator of a task.

    >>> family("response_long"), family("copy")
    ('delayed_response', 'copy')
    """
    return FAMILIES.get(task.split("_", maxsplit=1)[0], task)


def claims(networks: Sequence[NetworkRuns], *, whole: bool) -> list[HypothesisResult]:
    """Decide the claims about one answer; all are open while runs are missing or too few tasks count."""
    one, pair = by_task(networks, ONE), by_task(networks, *PAIR)
    above = sum(network.loss(ONE) > WORST for network in networks if network.learns)
    quiet, former = driven_gain(networks, ONE), driven_gain(networks, FORMER, without="delayed_response")
    seeds = str(max((len(network.runs[network.best]) for network in networks), default=0))
    decided = whole and len(one) >= FEWEST_TASKS and min(len(quiet), len(former)) > 1

    def made(name: str, claim: str, confirmed: float, refuted: float) -> HypothesisResult:
        p = (confirmed, refuted) if decided else (None, None)
        return HypothesisResult(name, claim, f"{len(one)} tasks, two starts", seeds, *p)

    if not decided:
        return [made(name, CLAIMS[name], 1.0, 1.0) for name in ("B1", "B2", "B3")]
    is_below = p_below(one.values(), 3.0)
    pair_below = p_below(pair.values(), 2.0)
    harmed, helps = p_below(quiet.values(), -3.0), p_below(former.values(), 0.0)
    return corrected(
        [
            made("B1", CLAIMS["B1"], is_below if above <= MOST_ABOVE else 1.0, 1 - is_below),
            made("B2", CLAIMS["B2"], pair_below, 1 - pair_below),
            made("B3", CLAIMS["B3"], 1 - min(harmed, helps), min(1.0, 2 * min(harmed, helps))),
        ]
    )


CLAIMS = {
    "B1": "one answer: `sigmoid` 0.5, attached, loses less than 3 points in the mean over tasks, and more than 8 "
    "on at most two networks",
    "B2": "two tries: the better of `sigmoid` 0.5 and `atan` 0.2 by validation loses less than 2 points",
    "B3": "a driven start does not harm `sigmoid` 0.5 by more than 3 points, and helps `atan` 0.5",
    "B4": "on new seeds the better of `sigmoid` 0.5 and `atan` 0.5 by validation loses less than 2 points, and "
    "more than 10 on no network",
}


class RuleAdvice(NamedTuple):
    """Holds what the registered rule advises."""

    setting: SurrogateSetting
    why: str
    pair: bool  # whether two tries stand beside it


def worst(networks: Iterable[NetworkRuns], *tried: SurrogateSetting) -> tuple[float, str]:
    """Return the largest loss over the networks that learn [points], and the name of that network."""
    return max((network.loss(*tried), network.name) for network in networks if network.learns)


def advice(networks: Sequence[NetworkRuns], verdicts: Sequence[HypothesisResult]) -> RuleAdvice:
    """Choose by the registered rule: the confirmed setting, else the best of those that are safe everywhere."""
    word = {one.name: one.verdict for one in verdicts}
    pair = word["B2"] == "confirmed"
    if word["B1"] == "confirmed":
        return RuleAdvice(ONE, "it is confirmed as one answer", pair)
    safe = [one for one in SETTINGS if worst(networks, one)[0] < LIMIT]
    if safe:
        least = min(safe, key=lambda one: fmean(by_task(networks, one).values()))
        return RuleAdvice(least, "it has the least mean loss of those that lose less than 10 on every network", pair)
    least = min(SETTINGS, key=lambda one: worst(networks, one)[0])
    return RuleAdvice(
        least, "every setting loses 10 or more somewhere, and this one loses least on its worst network", pair
    )


def pairs() -> list[tuple[SurrogateSetting, SurrogateSetting]]:
    """List all pairs of settings with the reset attached."""
    attached = [one for one in SETTINGS if one.reset == "attached"]
    return list(combinations(attached, 2))
