"""The report on the advice: does the better of the two printed tries stay close to the best of six settings?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from sgbench.recommendation.answer import AdvisedSetting
from sgbench.recommendation.recommend import recommend
from sgbench.records.base import Strict, Text
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import StudyFolders
from sgbench.study_runner.scores import Score
from sgbench.study_runner.status import states_of
from sgbench.tables import decimal_text
from study.reporting.evidence import TriedSettings
from study.reporting.pages import budget
from study.reporting.pages.text import StudyPage, few, links, table
from study.reporting.report import Report, ReportInput
from study.reporting.results import RESULTS, StudyFigure, StudyResults

FILE = "printed.json"
"""Beside the study's records."""


class PrintedAdvice(Strict):
    """Holds the tries for each network, as words of a run, and where it lies outside of what was run."""

    tries: dict[Text, tuple[Text, ...]]
    outside: dict[Text, tuple[Text, ...]]


def read_printed(folder: Path) -> PrintedAdvice | None:
    """Read what was printed from a store's folder; None where nothing was."""
    path = folder / FILE
    return read_model(path, PrintedAdvice) if path.is_file() else None


def measure_study(loaded: Loaded, folders: StudyFolders, *, gradients: bool) -> Iterator[str]:
    """Ask for the advice on every network of the study and store it; yield a line for each."""
    del gradients
    found = {name: recommend(*task.words) for name, task in loaded.study.tasks.items()}
    printed = PrintedAdvice(
        tries={name: one.to_try[:2] for name, one in found.items()},
        outside={name: one.outside for name, one in found.items()},
    )
    write_atomic(folders.store.folder / FILE, to_json(printed))
    for name, one in found.items():
        yield f"{name}: {'; '.join(one.outside) or 'within what was run'}"


TITLE = "Does the advice for recurrent networks hold on new seeds?"
OF_STUDY, ELSEWHERE = "A", "B"
"""Blocks with tasks of the third study's generators, and with others."""
MOST_OUTSIDE = 4
NOTES = """\
- Three seeds are few where a run learns all or nothing, as on the time between two volleys: there single settings lie
  between 25 and 100 % by seed, in either direction.
- The advice stays as it is: by the registration of the [third study](../attached_reset/README.md) it changes by that
  study's rule alone, whose single setting `sgbench recommend --why` names."""


def make_report(report_input: ReportInput) -> Report:
    """Write the report on whether the printed advice held on networks that it had not seen."""
    scores, study = report_input.evidence.scores, report_input.evidence.loaded.study
    printed = read_printed(report_input.folder)
    asked = (
        f"What was run, and how it is judged, stands in [the registration](../{report_input.registration}). "
        "Losses are points of test accuracy to the setting with the highest mean of six, each at its own learning "
        "rate, over three seeds."
    )
    pages = [budget.page(report_input.evidence)]
    whole = {state.name for state in states_of(scores, list(study.blocks)) if state.stored == state.runs}
    if printed is None or OF_STUDY not in whole:
        missing = report_input.evidence.not_stored(OF_STUDY)
        return Report((StudyPage("README.md", TITLE, (missing, asked, "## Pages", links(pages))), *pages))
    titles = {name: task.title for name, task in study.tasks.items()}
    own = checked(scores.block(OF_STUDY), printed.tries)
    parts = [answer(own, titles, printed), asked, "## Tasks of the third study", _table(own, titles, printed)]
    if ELSEWHERE in whole:
        others = checked(scores.block(ELSEWHERE), printed.tries)
        parts += ["## Tasks of other generators", held(others, titles), _table(others, titles, printed)]
    else:
        parts += ["## Tasks of other generators", report_input.evidence.not_stored(ELSEWHERE)]
    front = StudyPage("README.md", TITLE, (*parts, "## To keep in mind", NOTES, "## Pages", links(pages)))
    figures = {
        "check_networks": StudyFigure(mean=len(own), digits=0),
        "check_held": StudyFigure(mean=sum(network.holds for network in own), digits=0),
        "check_worst": StudyFigure(mean=max(network.loss for network in own), digits=0),
    }
    return Report((front, *pages), beside={RESULTS: to_json(StudyResults(groups={}, figures=figures))})


def answer(networks: Sequence[CheckedNetwork], titles: dict[str, str], printed: PrintedAdvice) -> str:
    """Say whether the advice holds, and how often a network lies outside of what was run."""
    holds = all(network.holds for network in networks)
    outside = sum(bool(printed.outside[network.name]) for network in networks)
    two = all(len(network.tries) > 1 for network in networks)
    word = "It holds" if holds else "It does not hold everywhere"
    return (
        f"**{word}.** {held(networks, titles)} `sgbench recommend` says of {few(outside, len(networks))} that they lie "
        f"outside of what was run (at most {MOST_OUTSIDE} were allowed), and prints "
        f"{'two tries for each' if two else 'fewer than two tries for some'}."
    )


def held(networks: Sequence[CheckedNetwork], titles: dict[str, str]) -> str:
    """Say on how many networks the better try loses no more than it may, and what it loses at most."""
    worst = max(networks, key=lambda network: network.loss)
    mean = sum(network.loss for network in networks) / len(networks)
    return (
        f"On {few(sum(network.holds for network in networks), len(networks))} networks the better of the two tries by "
        f"validation loses at most {HOLDS:g} points to the best of six settings; on average {decimal_text(mean, 1)}, "
        f"at most {decimal_text(worst.loss, 1)} ({titles[worst.name]}). Against the setting that validation "
        f"chooses it is {few(sum(network.loss_to_chosen <= HOLDS for network in networks), len(networks))}."
    )


def _table(networks: Sequence[CheckedNetwork], titles: dict[str, str], printed: PrintedAdvice) -> str:
    """Write what each try lost on each network, and whether the advice held there."""
    rows = []
    for network in networks:
        notes = [] if network.learns else ["near guessing"]
        notes += ["outside"] if printed.outside[network.name] else []
        rows.append(
            [
                titles[network.name],
                *(decimal_text(network.mean(one), 1) for one in network.tries),
                decimal_text(network.kept, 1),
                f"{decimal_text(network.mean(network.best), 1)} ({_short(network.best)})",
                decimal_text(network.loss, 1),
                decimal_text(network.loss_to_chosen, 1),
                "yes" if network.holds else "**no**",
                ", ".join(notes),
            ]
        )
    tries = [_short(one) for one in networks[0].tries]
    losses = ["loss", "loss to that of validation"]
    return table(["network", *tries, "the better", "best of six", *losses, "holds", "note"], rows)


def _short(words: str) -> str:
    """Write a setting without its reset, which is the same everywhere.

    >>> _short("neuron.reset_gradient=attached surrogate=atan width_fwhm=0.5")
    '`atan` 0.5'
    """
    surrogate, width = (word.partition("=")[2] for word in words.split()[1:])
    return f"`{surrogate}` {width}"


HOLDS = 5.0
"""Points that the better try may lose."""


@dataclass(frozen=True)
class CheckedNetwork(TriedSettings):
    """Holds each setting's runs on one network at its own learning rate, by the words of the setting."""

    name: str
    runs: Mapping[str, Mapping[int, Score]]
    tries: tuple[str, ...]

    @property
    def kept(self) -> float:
        """Average the test accuracy of the better try by validation, seed by seed [points]."""
        return self.mean_kept(*self.tries)

    @property
    def best(self) -> str:
        return max(self.runs, key=self.mean)

    @property
    def loss(self) -> float:
        """Return what the better try loses to the best setting [points]."""
        return self.mean(self.best) - self.kept

    @property
    def loss_to_chosen(self) -> float:
        """Return what it loses to the setting with the best mean validation accuracy [points]."""
        return self.mean(max(self.runs, key=lambda one: _validation(self.runs[one].values()))) - self.kept

    @property
    def holds(self) -> bool:
        return self.loss <= HOLDS


def words_of(cell: Mapping[str, object]) -> str:
    """Write a cell's setting as `sgbench recommend` prints it.

    >>> words_of({"surrogate": "atan", "width_fwhm": 0.5, "neuron.reset_gradient": "attached", "optimizer.lr": 0.02})
    'neuron.reset_gradient=attached surrogate=atan width_fwhm=0.5'
    """
    setting = {key.rpartition(".")[2]: cell[key] for key in ("surrogate", "width_fwhm", "neuron.reset_gradient")}
    return " ".join(AdvisedSetting.model_validate({**setting, "rests_on": "this check"}).words)


def checked(runs: Iterable[Score], tries: Mapping[str, Sequence[str]]) -> list[CheckedNetwork]:
    """Choose each setting's learning rate by mean validation accuracy, on every network.

    `runs`: of all networks. `tries`: by network, the words that are printed.
    """
    found: dict[str, dict[str, dict[object, dict[int, Score]]]] = {}
    for run in runs:
        rates = found.setdefault(run.task, {}).setdefault(words_of(run.cell), {})
        rates.setdefault(run.cell["optimizer.lr"], {})[run.seed] = run
    return [
        CheckedNetwork(
            name,
            {words: max(rates.values(), key=lambda rate: _validation(rate.values())) for words, rates in own.items()},
            tuple(tries[name]),
        )
        for name in tries
        if (own := found.get(name)) is not None
    ]


def _validation(runs: Iterable[Score]) -> float:
    return round(fmean(run.validation for run in runs), 9)
