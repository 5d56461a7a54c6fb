"""Neuron models: each at its own best of as many random settings, against the leaky one."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

import numpy as np

from sgbench.plots.chart import Estimate
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import Score
from sgbench.tables import NONE, decimal_text
from study.reporting.pages.regime_map import estimate, score
from study.reporting.pages.text import StudyPage, cell_text, details, few, interval, table
from study.reporting.run_table import MIN_SEEDS, RunTable, points_of, run_table
from study.surrogates.analysis.comparisons import REFERENCE, own_best
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages.claim_rules import missing
from study.surrogates.analysis.pages.methods import (
    MethodPanel,
    compared_looks,
    difference_table,
    latest_looks,
    method_pictures,
    score_panel,
    told_apart,
)

NAME = "neurons.md"
TITLE = "Which neuron model?"
TUNING, BLOCK = "E", "ER"
LEAKY, QUADRATIC = "leaky", "quadratic"
MODELS: Mapping[str, str] = {
    "leaky": LEAKY,
    "synaptic": "synaptic",
    "plif": "learned decay",
    "alif": "adapting threshold",
    "se_adlif": "adapting current",
    "qif": QUADRATIC,
}
"""By entry of the catalogue, what the page calls it."""
NAMES = (
    "In the catalogue: `leaky`; `synaptic`, a current before the membrane; `plif`, whose layers learn their "
    "decay; `alif`, whose threshold rises with spikes; `se_adlif`, with a current that follows potential and "
    "spikes; `qif`, quadratic. All but the last subtract their threshold behind a spike, without a gradient; "
    "that one returns to zero. All take a weight as charge, but for the synaptic current, which lets it move "
    "a potential 1.2 to 3.1 times as far."
)
LIMITS = (
    "Sixteen random settings are few for up to seven numbers, and the more numbers a model has of its own the"
    " worse it is served: this is about neurons tuned so, in one recurrent layer, with small data. All "
    "neurons of a layer share one strength and one time constant of adaptation, where papers often let each "
    "learn its own. The quadratic neuron is stepped by forward Euler, and its flow grows with the potential "
    "alone beyond the threshold; exact gradients are not compared. With ten seeds comparisons on T4 and T5 "
    "are exploratory, as the registration calls a power below one half, and on T6 two models that solve all "
    "runs can be shown neither apart nor equal."
)


def page(evidence: SurrogateEvidence) -> StudyPage:
    if BLOCK not in evidence.loaded.study.blocks:
        return StudyPage(NAME, TITLE, (f"This study has no block {BLOCK}.",))
    names = list(MODELS.values())
    cells = {task: settled(evidence, task) for task in evidence.loaded.study.blocks[BLOCK].tasks}
    tables = latest_looks(evidence, cells, names, start=BLOCK)
    if not tables:
        return StudyPage(NAME, TITLE, (f"Not known yet: {missing(evidence, BLOCK).number}.", NAMES))
    pictures = method_pictures(
        names,
        {
            "neurons.png": (
                "Scores of six neuron models on each task, a row a model.",
                [score_panel(evidence, task, look) for task, look in tables.items()],
            ),
            "neurons_spikes.png": (
                "Spikes of six neuron models over those of the leaky one, a row a model.",
                [
                    MethodPanel(evidence.title(task), "spikes, leaky = 1", tuple(_spike_ratios(look)), kind="cost")
                    for task, look in tables.items()
                ],
            ),
        },
    )
    lacking = [task for task in cells if task not in tables]
    compared = compared_looks(evidence, tables, names)
    parts = (
        f"Tasks without a complete look: {', '.join(lacking)}." if lacking else "",
        f"Against the leaky neuron, each model at the best of sixteen random settings:\n\n{told_apart(compared)}",
        *(picture.markdown for picture in pictures),
        "F10. Settings are chosen on other seeds; learning rates and widths to choose from were the same for all "
        "models, surrogate atan. Intervals of 95 % over seeds. The dashed line is the leaky neuron. Spikes are "
        "those of an inference, by seeds of which both runs ended and sent some.",
        NAMES,
        difference_table(compared, "neuron", LEAKY),
        f"## Scores and spikes\n\n{_scores(tables)}",
        _more_tries(evidence, tables),
        f"## How hard is each to tune?\n\n{_tries(evidence)}",
        LIMITS,
        details("The settings of each model", _settings(cells)),
    )
    return StudyPage(NAME, TITLE, tuple(part for part in parts if part), pictures)


def settled(evidence: SurrogateEvidence, task: str) -> dict[str, Cell]:
    """Return the settled cell of each neuron on a task."""
    cells = evidence.scores.settled.get(TUNING, {}).get(task, ())
    by_model = {str(cell.get("neuron")): dict(cell) for cell in cells}
    return {name: by_model[entry] for entry, name in MODELS.items() if entry in by_model}


def _spike_ratios(look: RunTable) -> list[Estimate | None]:
    """Compute spikes over those of the leaky neuron, by seeds of which both runs sent some; None for few."""
    leaky = look.log_spikes[0]
    ratios: list[Estimate | None] = []
    for sent in look.log_spikes:
        both = np.isfinite(sent) & np.isfinite(leaky)
        if both.sum() < MIN_SEEDS:
            ratios.append(None)
            continue
        ratios.append(Estimate(*np.exp(estimate((sent - leaky)[both].tolist())).tolist()))
    return ratios


def _scores(tables: Mapping[str, RunTable]) -> str:
    """Write accuracy, spikes and failed runs of each neuron on each task."""
    rows = []
    for task, look in tables.items():
        for name, runs, ratio in zip(MODELS.values(), look.runs, _spike_ratios(look), strict=True):
            mean = score(list(runs))
            rows.append(
                [
                    *(task, name, interval(mean.value, mean.low, mean.high)),
                    NONE if ratio is None else interval(ratio.value, ratio.low, ratio.high, 2),
                    few(sum(run.failed for run in runs), len(runs)),
                ]
            )
    return table(["task", "neuron", "accuracy or runs solved, %", "spikes, leaky = 1", "failed runs"], rows)


def _more_tries(evidence: SurrogateEvidence, tables: Mapping[str, RunTable]) -> str:
    """Tell what the leaky neuron reaches with all tries of the study, for comparison by eye alone."""
    said = []
    for task, look in tables.items():
        cell = own_best(evidence.scores, task).get(REFERENCE)
        if cell is None:
            continue
        runs = run_table(evidence.scores, task, "report", [cell], look.seeds, start="A3b")
        if runs.seeds:
            mean = points_of(evidence.loaded.study.tasks[task], runs).mean()
            said.append(f"{task} {decimal_text(float(mean), 1)} %")
    if not said:
        return ""
    return (
        "The leaky neuron with atan after all tuning of the study (blocks A1 to A3a, many more tries) reaches on "
        f"the same seeds: {', '.join(said)}. It is compared with nothing."
    )


def _tries(evidence: SurrogateEvidence) -> str:
    """Write the best and the median of each neuron's tuning runs."""
    rows = []
    for task in evidence.loaded.study.blocks[TUNING].tasks:
        for entry, name in MODELS.items():
            runs = [
                run for run in evidence.scores.block(TUNING) if run.task == task and run.settings.get("neuron") == entry
            ]
            if runs:
                means = _by_setting(runs)
                failed = few(sum(run.failed for run in runs), len(runs))
                rows.append([task, name, max(means), median(means), failed])
    header = ["task", "neuron", "best validation, %", "median of the tries, %", "failed runs"]
    return table(header, rows)


def _by_setting(runs: Sequence[Score]) -> list[float]:
    """Return the mean validation accuracy of each setting that was tried."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        groups.setdefault(repr(sorted(run.cell.items())), []).append(run.validation)
    return [fmean(several) for several in groups.values()]


def _settings(cells: Mapping[str, Mapping[str, Cell]]) -> str:
    """Write the settings that each neuron got on each task."""
    rows = [
        [task, name, cell_text(cell, without=["neuron", "surrogate"]) or NONE]
        for task, of in cells.items()
        for name, cell in of.items()
    ]
    return table(["task", "neuron", "settled"], rows)
