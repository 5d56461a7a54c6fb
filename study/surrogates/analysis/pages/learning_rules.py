"""Learning rules: each at its own learning rate against back-propagation, beside what it takes."""

from collections.abc import Mapping

from sgbench.plots.chart import Estimate
from sgbench.study_runner.cells import Cell
from sgbench.tables import NONE, decimal_text
from study.reporting.pages.text import StudyPage, cell_text, details, interval, table
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses_rules import BLOCK, TUNING
from study.surrogates.analysis.pages.claim_rules import missing
from study.surrogates.analysis.pages.methods import (
    MethodPanel,
    compared_looks,
    difference_table,
    latest_looks,
    method_pictures,
    methods_charts,
    score_panel,
    told_apart,
)

NAME = "rules.md"
TITLE = "Which learning rule, and at what price?"
REFERENCE_RULE, E_PROP, ONE_STEP = "back-propagation", "e-prop", "back-propagation, 1 step"
RULES: Mapping[tuple[str, int | None], tuple[str, str]] = {
    ("bptt", None): (REFERENCE_RULE, "bptt"),
    ("bptt", 10): ("back-propagation, 10 steps", "bptt, window 10"),
    ("bptt", 1): (ONE_STEP, "sltt"),
    ("eprop", None): (E_PROP, "eprop, unrolled"),
    ("direct_feedback", None): ("random feedback", "dfa"),
    ("local", None): ("local losses", "local"),
    ("frozen", None): ("random layers", "frozen"),
}
"""By rule and window of a settled cell: what the page calls it, and its name in the benchmark of rules."""
NEURONS = "All with leaky neurons; other models are compared [on a page of their own](neurons.md)."
CHARTED = (
    "Each learning rule at its own learning rate, with intervals of 95 % over seeds; the line is back-propagation "
    "through the whole sequence. Time and memory are those of our engine."
)
AGAINST = "Against back-propagation through the whole sequence:\n\n"
COSTS = (
    "Time is that of a training step over back-propagation's, memory what a batch adds: both from the benchmark of "
    "learning rules (`benchmarks/results/rules.json`), a recurrent layer of 128 neurons, 100 steps, one core. They "
    "are of our engine, not of the rules as such; how memory grows with the steps is in "
    "[learning rules](../rules.md)."
)


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page that compares learning rules."""
    if BLOCK not in evidence.loaded.study.blocks:
        return StudyPage(NAME, TITLE, (f"This study has no block {BLOCK}.", NEURONS))
    cells = {task: settled(evidence, task) for task in evidence.loaded.study.blocks[BLOCK].tasks}
    names = [name for name, _ in RULES.values()]
    tables = latest_looks(evidence, cells, names)
    if not tables:
        parts = (f"Not known yet: {missing(evidence, BLOCK).number}.", _costs(evidence), NEURONS)
        return StudyPage(NAME, TITLE, tuple(part for part in parts if part))
    scores = [score_panel(evidence, task, look) for task, look in tables.items()]
    costs = _cost_panels(evidence)
    drawn = {"rules.png": ("Scores of seven learning rules on each task, a row a rule.", scores)}
    if costs:
        drawn["rules_costs.png"] = ("Time and memory of seven learning rules, a row a rule.", costs)
    pictures = method_pictures(names, drawn)
    lacking = [task for task in cells if task not in tables]
    compared = compared_looks(evidence, tables, names)
    parts = [
        *([f"Tasks without a complete look: {', '.join(lacking)}."] if lacking else []),
        AGAINST + told_apart(compared),
        *(picture.markdown for picture in pictures),
        "F9. Each rule at its own learning rate, chosen on other seeds, with a cross-entropy at every step; "
        "intervals of 95 % over seeds. The dashed line is back-propagation through the whole sequence. Random "
        "layers with a trained readout are a control: a rule that is no better than they are teaches the hidden "
        "layer nothing.",
        difference_table(compared, "rule", REFERENCE_RULE),
        _costs(evidence),
        NEURONS,
        details("The learning rate of each rule", _rates(cells)),
    ]
    charts = {"learning rules": methods_charts(names, [*scores, *costs], CHARTED)}
    return StudyPage(NAME, TITLE, tuple(part for part in parts if part), pictures, charts)


def settled(evidence: SurrogateEvidence, task: str) -> dict[str, Cell]:
    """Return the settled cell of each learning rule on a task."""
    cells = evidence.scores.settled.get(TUNING, {}).get(task, ())
    by_rule = {(cell.get("rule"), cell.get("rule.window")): dict(cell) for cell in cells}
    return {name: by_rule[key] for key, (name, _) in RULES.items() if key in by_rule}


def _cost_panels(evidence: SurrogateEvidence) -> list[MethodPanel]:
    """Draw time and memory of each rule; nothing if none was measured."""
    costs = [evidence.elsewhere.rule_costs.get(name) for _, name in RULES.values()]
    if not any(costs):
        return []
    times = tuple(None if one is None else Estimate(one.times, one.low, one.high) for one in costs)
    memory = tuple(None if one is None else Estimate(one.added_mib, one.added_mib, one.added_mib) for one in costs)
    return [
        MethodPanel("time a step", "back-propagation = 1", times, kind="cost"),
        MethodPanel("memory", "MiB a batch", memory, kind="cost"),
    ]


def _costs(evidence: SurrogateEvidence) -> str:
    """Write time and memory of each rule; empty if none was measured."""
    costs = evidence.elsewhere.rule_costs
    if not any(name in costs for _, name in RULES.values()):
        return ""
    rows = []
    for name, measured in RULES.values():
        one = costs.get(measured)
        if one is None:
            rows.append([name, NONE, NONE])
        else:
            rows.append([name, interval(one.times, one.low, one.high, 2), decimal_text(one.added_mib, 1)])
    body = table(["rule", "time, back-propagation = 1", "memory, MiB"], rows)
    return f"## Time and memory\n\n{COSTS}\n\n{body}"


def _rates(cells: Mapping[str, Mapping[str, Cell]]) -> str:
    """Write the learning rate that each rule got on each task."""
    rows = [
        [task, name, cell_text({"optimizer.lr": cell.get("optimizer.lr")})]
        for task, of in cells.items()
        for name, cell in of.items()
    ]
    return table(["task", "rule", "settled"], rows)
