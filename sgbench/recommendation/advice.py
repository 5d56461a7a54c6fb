"""The recommendation for one network: settings with what they lost, and where it lies outside of what was run."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sgbench.errors import InputError
from sgbench.recommendation.answer import AdvisedSetting, Goal, MeasuredNetwork, NetworkAdvice, StudyAnswer
from sgbench.tables import NONE, counted, number_text
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

COLUMNS = 80
NOT_TRIED = ("convolutions", "batches above 256 samples", "anything on an accelerator")


@dataclass(frozen=True, repr=False)
class Recommendation(ShownTable):
    """Holds the settings to try in a network, and how sure they are."""

    goal: Goal  # "accuracy", "spikes" or "safety"
    advice: NetworkAdvice  # for networks of this kind
    condition: str  # on the height of a surrogate whose reset is attached
    measured: MeasuredNetwork  # properties of the network
    settings: tuple[AdvisedSetting, ...]  # to try, in order, within the budget
    in_snntorch: bool = False  # whether settings are written as calls for a module, in place of overrides

    @property
    def kind(self) -> str:
        return self.advice.network

    @property
    def surrogate(self) -> str:
        return self.settings[0].surrogate

    @property
    def width_fwhm(self) -> float:
        return self.settings[0].width_fwhm

    @property
    def to_try(self) -> tuple[str, ...]:
        """List what to type for each setting: overrides of a run, or a call for a network `net`."""
        return tuple(one.call if self.in_snntorch else " ".join(one.words) for one in self.settings)

    @property
    def outside(self) -> tuple[str, ...]:
        """Describe each measured property that lies outside of the networks that were run; empty if none does."""
        found = []
        for name, values in self.measured.properties.items():
            low, high = self.advice.reach.get(name, (float("-inf"), float("inf")))
            beyond = [value for value in values if not low <= value <= high]
            if beyond:
                ends = number_text(low) if low == high else f"{number_text(low)} to {number_text(high)}"
                found.append(f"{', '.join(map(_short, beyond))} {name} (ours: {ends})")
        return tuple(found)

    @property
    def lines(self) -> list[str]:
        """Write the settings as a table, with one sentence of doubt; `why` has the rest."""
        return list(self._lines())

    def _lines(self) -> Iterator[str]:
        """Yield what the advice is for, a table of settings to try, and what speaks against trusting it."""
        yield from _wrapped(self._headline)
        yield "       points lost, mean  worst  rests on"
        for number, (setting, words) in enumerate(zip(self.settings, self.to_try, strict=True), start=1):
            mean, worst = (_points(value) for value in (setting.mean_loss, setting.worst_loss))
            yield f"try {number}  {mean:>17}  {worst:>5}  {setting.rests_on}"
            yield words
        yield from (line for doubt in self._doubts for line in _wrapped(doubt))

    @property
    def _headline(self) -> str:
        """Name the kind of network, and say how many settings to train."""
        state = "" if self.advice.provisional is None else f", provisional {self.advice.provisional}"
        each = {1: "one try", 2: "train with both, and keep the one that validates better"}
        tries = each.get(
            len(self.settings), f"train with all {len(self.settings)}, and keep the one that validates best"
        )
        return f"{self.kind}{state}: {tries}."

    @property
    def _doubts(self) -> list[str]:
        outside = [f"Beyond what we ran: {'; '.join(self.outside)}."] if self.outside else []
        return [*outside, f"Doubt: {self.advice.doubt}"]

    @property
    def why(self) -> list[str]:
        """Write what was measured, what the advice rests on, and what it says nothing of."""
        measured = self.measured
        facts = [f"{number_text(measured.steps)} steps", counted(measured.layers, "hidden layer")]
        if measured.spikes_per_step is not None:
            facts.append(f"{', '.join(map(_short, measured.spikes_per_step))} spikes a neuron and step by layer")
        facts += [f"{key}={value:g}" for key, value in measured.gains]
        if measured.passing_steps is not None and measured.near_share is not None:
            facts.append(f"{_short(measured.passing_steps)} passing steps and q {measured.near_share:.2f} (atan 0.5)")
        worst = [
            f"{setting.surrogate} {setting.width_fwhm:g} lost most on '{setting.worst_on}'"
            for setting in self.settings
            if setting.worst_on is not None
        ]
        rates = self.advice.learning_rates
        sentences = [
            f"Your network before training: {'; '.join(facts)}.",
            f"Losses are points of test accuracy to {self.advice.against}.",
            *([f"{'; '.join(worst)}."] if worst else []),
            *self.advice.why,
            *([self.condition] if any(setting.reset_gradient == "attached" for setting in self.settings) else []),
            *([] if rates is None else [f"Learning rates there: {number_text(rates[0])} to {number_text(rates[1])}."]),
            f"Not tried: {', '.join(NOT_TRIED)}.",
        ]
        return [line for sentence in sentences for line in _wrapped(sentence)]

    @property
    def tree(self) -> dict[str, Any]:
        """Convert the recommendation to plain values for JSON, whose keys stay the same between releases."""
        first = self.settings[0]
        return {
            "goal": self.goal,
            "kind": self.kind,
            "provisional": self.advice.provisional,
            "surrogate": first.surrogate,
            "width_fwhm": first.width_fwhm,
            "reset_gradient": first.reset_gradient,
            "settings": [one.model_dump(mode="json") for one in self.settings],
            "to_try": list(self.to_try),
            "outside": list(self.outside),
            "doubt": self.advice.doubt,
            "why": " ".join(self.why),
            "unknown": list(NOT_TRIED),
            "shape": asdict(self.measured),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines)

    __repr__ = __str__

    def table(self) -> Table:
        """Return the settings to try, with the points of accuracy that they lost in the study."""
        head = ("to try", "points lost, mean", "worst", "rests on")
        rows = [
            (words, _points(one.mean_loss), _points(one.worst_loss), one.rests_on)
            for one, words in zip(self.settings, self.to_try, strict=True)
        ]
        return plain_table("Settings to try", [head, *rows], text_columns=1)

    def table_notes(self) -> list[str]:
        return [self._headline, *self._doubts]


def advise(
    answer: StudyAnswer,
    network: MeasuredNetwork,
    *,
    goal: Goal = "accuracy",
    budget: int = 3,
    in_snntorch: bool = False,
) -> Recommendation:
    """Choose the settings to try in a network.

    `answer`: the advice for every kind of network. `network`: its properties. `goal`: "accuracy", "spikes" (the fewest
    within 2 points of the best) or "safety" (the least worst loss). `budget`: most settings; the answer has at most
    three. `in_snntorch`: whether to write them as calls for a module.
    """
    advice = answer.of(network)
    if goal not in advice.settings:
        raise InputError(f"--for {goal}: is not measured in networks with {advice.network}; leave it out")
    return Recommendation(goal, advice, answer.condition, network, advice.settings[goal][:budget], in_snntorch)


def _points(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 1 else number_text(float(f"{value:.3g}"))


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(f"{text[0].upper()}{text[1:]}", COLUMNS)
