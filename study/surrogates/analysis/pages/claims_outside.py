"""Claims that other parts of the product decide, reproductions and boards: C7 to C10, L10 and L13."""

from sgbench.statistics.blocks import contrast
from sgbench.statistics.equivalence import Verdict, verdict
from study.reporting.pages.text import interval
from study.surrogates.analysis.comparisons import Compared, compared_table, looks
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses_rules import FULL, TUNING
from study.surrogates.analysis.pages.claim_rules import (
    OUTSIDE,
    Decided,
    all_of,
    compared_text,
    decided,
    is_worse,
    missing,
    smallest,
)

BOARD = "randman_rules_v1"
"""The board of learning rules with one recurrent hidden layer."""
CLOSE_POINTS = 5.0
"""Within which a learning rule comes close to back-propagation, as in H3."""
BACKPROPAGATION = "bptt"
FEEDBACK = {
    "random feedback in all layers": "feedback_alignment",
    "random feedback from the output": "direct_feedback(error=signed, temporal=bptt)",
    "local losses": "local",
}
"""Rules of the board that C9 is about."""
RULES = ("direct_feedback", "local")
"""The same rules as block DR names them."""


def not_conservative(evidence: SurrogateEvidence) -> Decided:
    """Decide C7 by the reproduction of the integral around a closed loop."""
    figures = evidence.elsewhere.figures.get("closed_loop")
    if not figures:
        return Decided("open", OUTSIDE)
    surrogate = [one for line, one in figures.items() if "surrogate" in line]
    true = [one for line, one in figures.items() if "true" in line]
    if any(one.mean is None for one in (*surrogate, *true)):
        return Decided("open", "closed_loop is not measured")
    loops = sorted({one.seeds for one in figures.values()})
    count = f"{loops[0]}" if len(loops) == 1 else f"{loops[0]} to {loops[-1]}"
    number = (
        f"integral around a loop {min(one.mean or 0 for one in surrogate):.3g} to "
        f"{max(one.mean or 0 for one in surrogate):.3g} with a surrogate, at most "
        f"{max(one.mean or 0 for one in true):.1g} with the true gradient; {count} loops"
    )
    agree = all(one.agrees for one in figures.values())
    return Decided("confirmed" if agree else "refuted", number)


def matched_noise_is_best(evidence: SurrogateEvidence) -> Decided:
    """Decide C8 by the reproduction of four slopes of noise: matched is above the other surrogate at each."""
    figures = evidence.elsewhere.figures.get("escape_noise_c8")
    if not figures:
        return Decided("open", OUTSIDE)
    estimates = {line: one.estimate for line, one in figures.items()}
    known = {line: one for line, one in estimates.items() if one is not None}
    if len(known) < len(figures):
        return Decided("open", "escape_noise_c8 is not measured")
    said = "; ".join(
        f"{line.replace('noise of slope ', 'noise ').replace('above', 'minus')} "
        f"{interval(100 * one.estimate, 100 * (one.low or 0), 100 * (one.high or 0))}, {one.seeds} seeds"
        for line, one in known.items()
    )
    return decided(
        max(one.p if one.estimate > 0 else 1.0 for one in known.values()),
        smallest([one.p if one.estimate < 0 else 1.0 for one in known.values()]),
        evidence.rules.level,
        f"points: {said}",
    )


def no_gradient_but_noise(evidence: SurrogateEvidence) -> Decided:
    """Decide L10 from C7 and C8."""
    parts = {"C7": not_conservative(evidence), "C8": matched_noise_is_best(evidence)}
    return all_of({name: one.verdict for name, one in parts.items()})


def board_against_backpropagation(evidence: SurrogateEvidence) -> dict[str, Verdict]:
    """Compare rules of the board with back-propagation, paired by seed, by the rule as the board writes it."""
    rows = {
        rule: scores
        for (rule, network), scores in evidence.elsewhere.boards.get(BOARD, {}).items()
        if rule != BACKPROPAGATION or "full" in network
    }
    full = rows.pop(BACKPROPAGATION, {})
    compared = {}
    for rule, scores in rows.items():
        seeds = sorted(set(scores) & set(full))
        if len(seeds) > 1:
            pair = [[one[seed] for seed in seeds] for one in (scores, full)]
            compared[rule] = verdict(contrast(pair, [1, -1]), CLOSE_POINTS, level=evidence.rules.look_level)
    return compared


def rules_against_backpropagation(evidence: SurrogateEvidence) -> tuple[list[Compared], list[str]]:
    """Compare rules of block DR with full back-propagation, 5 points counting as close; name tasks without runs."""
    study, rules = evidence.loaded.study, evidence.rules
    compared, lacking = [], []
    for task in study.blocks["DR"].tasks:
        settled = evidence.scores.settled.get(TUNING, {}).get(task, ())
        cells = {
            str(cell["rule"]): dict(cell)
            for cell in settled
            if cell.get("rule") in RULES or (cell.get("rule") == BACKPROPAGATION and cell.get("rule.window") is None)
        }
        tables = looks(evidence.scores, task, list(cells.values())) if len(cells) > len(RULES) else []
        if not tables:
            lacking.append(task)
            continue
        wide = study.tasks[task]
        if wide.outcome == "accuracy":
            wide = wide.model_copy(update={"margin": CLOSE_POINTS})
        methods = [FULL if name == BACKPROPAGATION else name for name in cells]
        compared += compared_table(*(task, wide, methods, tables[-1], FULL, rules), level=rules.look_level)
    return compared, lacking


def other_feedback_comes_close(evidence: SurrogateEvidence) -> Decided:
    """Decide C9: random feedback and local losses lie within five points with one hidden layer, not when deep."""
    board = board_against_backpropagation(evidence)
    mine = {name: board[rule] for name, rule in FEEDBACK.items() if rule in board}
    compared, lacking = rules_against_backpropagation(evidence)
    far = [one.p_beyond if one.difference < 0 else 1.0 for one in mine.values()]
    far += [is_worse(one) for one in compared]
    said = [f"{name} {interval(one.difference, one.low, one.high)} points" for name, one in mine.items()]
    said = [f"minus back-propagation on board {BOARD}: {', '.join(said)}"] if said else [OUTSIDE]
    said += [f"{one.method} {compared_text(one)}" for one in compared]
    if lacking:
        said.append(missing(evidence, "DR").number)
    said.append("no deep network is run with these rules")
    return decided(1.0, smallest(far), evidence.rules.look_level, "; ".join(said))


def eprop_bridges_delays(evidence: SurrogateEvidence) -> Decided:
    """Decide C10: e-prop solves a long delay with adapting neurons and is not far below back-propagation."""
    solved = evidence.elsewhere.figures.get("eprop_evidence", {}).get(
        "lowest error on validation within 480 iterations"
    )
    behind = evidence.elsewhere.figures.get("delayed_xor_traces", {}).get("back-propagation above a trace")
    gap = None if behind is None else behind.estimate
    if solved is None or gap is None or gap.low is None or gap.high is None:
        return Decided("open", OUTSIDE)
    low, high = 100 * gap.low, 100 * gap.high
    number = (
        f"evidence accumulation: error {solved.mean:.4f} (wanted {solved.published}, "
        f"{solved.seeds} seed{'s' * (solved.seeds > 1)}); delayed exclusive or: back-propagation minus e-prop "
        f"{interval(100 * gap.estimate, low, high)} points, {gap.seeds} seeds"
    )
    if not solved.agrees or low > CLOSE_POINTS:
        return Decided("refuted", number)
    return Decided("confirmed" if high < CLOSE_POINTS else "open", number)


def traces_lag_behind(evidence: SurrogateEvidence) -> Decided:
    """Decide L13, of which the middle part is not in the catalogue: online traces lie below back-propagation."""
    one = board_against_backpropagation(evidence).get("ostl")
    if one is None:
        return Decided("open", OUTSIDE)
    number = (
        f"OSTL minus back-propagation on board {BOARD}: {interval(one.difference, one.low, one.high)} points; "
        "OTPE is not in the catalogue"
    )
    higher = one.p_differs if one.difference > 0 else 1.0
    return decided(1.0, min(one.p_equal, higher), evidence.rules.look_level, number)
