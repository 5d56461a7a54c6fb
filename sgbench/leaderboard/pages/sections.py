"""Writes the sections of a board's page below its table: every seed, comparisons, verifications, explanations."""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sgbench.leaderboard.pages.checked import audit_statements, checked_text, draw_table, fresh_table, seeds_of
from sgbench.leaderboard.pages.solved_section import COMPARED, has_solved, solved_rows, solved_statement
from sgbench.leaderboard.pages.tuning_section import ABOUT, UNEQUAL, have_one_budget, search_table, searches
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.records.consistency import even_guess
from sgbench.records.energy import EnergyTarget, Evidence
from sgbench.records.submission import Verification
from sgbench.statistics.equivalence import detectable_difference, pairs_needed, seeds_needed
from sgbench.statistics.pairs import Comparison, compare, probability_of_improvement
from sgbench.statistics.rank_places import ABOUT_LETTERS
from sgbench.tables import NONE, code, number_text, p_text, prose
from sgbench.tables.markup import markdown

SURE = 0.75  # the P(A > B) from which Bouthillier et al. call a difference meaningful
MIN_PAIR = 2  # fewest seeds of a test
MARKS = {
    "secondary": "read from a secondary source",
    "derived": "computed from published numbers",
    "memory": "recalled without a source at hand",
}
"""Maps each kind of evidence that is weaker than a number read in its source to a description."""


def grid(header: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int) -> str:
    """Write a Markdown table; the first `text_columns` columns hold text, the others numbers."""
    return markdown(header, rows, numbers=range(text_columns, len(header)))


def sections(board: Board) -> Iterator[str]:
    """Yield the paragraphs of the sections that a board has something for, headings included."""
    if board.rows:
        yield "## Every seed"
        yield _seed_table(board)
    others = [row for row in board.rows[1:] if row.rank is not None]
    if others and board.rows[0].rank is not None:
        yield "## Against the first"
        yield _against_first(board.rows[0], others, board.measure)
        if has_solved(board):
            yield grid(COMPARED, solved_rows(board), text_columns=2)
    if board.baselines:
        yield "## Baselines without spikes"
        yield grid(*baseline_cells(board), text_columns=2)
        yield about_baselines()
    studies = searches(board)
    if studies:
        yield "## Searches of settings"
        yield grid(*search_table(board, studies), text_columns=2)
        yield ABOUT if have_one_budget(studies) else f"{ABOUT} {UNEQUAL}"
    checked = [row for row in (*board.shown, *board.retired) if _verifications(row)]
    if checked:
        yield "## Claimed and verified"
        yield _verification_table(checked, board.measure)
    yield from _audited(board)
    if board.outsiders:
        yield "## Code outside the catalogue"
        yield _outsider_table(board)
    if board.retired:
        yield "## Withdrawn and superseded"
        yield _retired_table(board.retired, board.measure)


def _audited(board: Board) -> Iterator[str]:
    """Yield the sections on seeds drawn and on samples drawn anew, where a row has them."""
    tables = {"Seeds drawn": draw_table(board), "Stored weights on samples drawn anew": fresh_table(board)}
    for title, (header, rows) in tables.items():
        if rows:
            yield f"## {title}"
            yield grid(header, rows, text_columns=2)


def _seed_table(board: Board) -> str:
    seeds = sorted({seed for row in board.rows for seed in row.scores})
    measure = board.measure
    rows = [[code(row.label), row.method_id, *(_seed_text(row, seed, measure) for seed in seeds)] for row in board.rows]
    unit = ", loss" if measure.is_loss else ", %"
    return grid(["method", "id", *(f"seed {seed}{unit}" for seed in seeds)], rows, text_columns=2)


def _seed_text(row: MethodRow, seed: int, measure: Measure) -> str:
    if seed not in row.scores:
        return NONE
    failed = " (failed)" if seed in row.failed_seeds else ""
    return f"{measure.text(row.scores[seed])}{failed}"


def _against_first(first: MethodRow, others: Sequence[MethodRow], measure: Measure) -> str:
    """Write the table that compares the first method with each other ranked one."""
    header = [
        "method",
        "id",
        f"behind the first, {measure.unit} (95 % CI)",
        "P(first better) (95 % CI)",
        "p, Holm",
        "seeds to see it",
    ]
    return grid(header, [_against_first_cells(first, row, measure) for row in others], text_columns=2)


def _compare(a: MethodRow, b: MethodRow, measure: Measure) -> Comparison:
    return compare(measure.signed(a.scores), measure.signed(b.scores))


def _against_first_cells(first: MethodRow, row: MethodRow, measure: Measure) -> list[str]:
    """Return a row's cells of the comparison with the first row."""
    comparison = _compare(first, row, measure)
    better = probability_of_improvement(measure.signed(first.scores), measure.signed(row.scores))
    needed = None if comparison.spread is None else seeds_needed(comparison.difference, comparison.spread)
    p = None if row.rank is None else row.rank.p_first
    return [
        code(row.label),
        row.method_id,
        measure.difference(comparison),
        f"{better.probability:.2f} ({better.low:.2f} to {better.high:.2f})",
        p_text(p),
        NONE if needed is None else f"{needed:,}",
    ]


def tried_text(row: MethodRow) -> str:
    """Write how many settings a submission states as tried, at least 1; a dash without a submission."""
    submission = None if row.listing is None else row.listing.provenance.submission
    return NONE if submission is None else str(max(1, submission.tuning_trials))


def _verifications(row: MethodRow) -> tuple[Verification, ...]:
    return () if row.listing is None else row.listing.provenance.verifications


def _verification_table(rows: Sequence[MethodRow], measure: Measure) -> str:
    """Write the table of verifications: who checked which row, how, and what was found."""
    unit = "" if measure.is_loss else ", %"
    header = ["method", "id", "tier", "passed", "by", "seeds", "what was found"]
    header += [f"claimed{unit}", f"verified{unit}"]
    lines = [
        [
            code(row.label),
            row.method_id,
            check.tier,
            "yes" if check.passed else "no",
            code(check.verifier),
            ", ".join(map(str, check.seeds)),
            prose(check.statement),
            measure.text(check.claimed),
            measure.text(check.verified),
        ]
        for row in rows
        for check in _verifications(row)
    ]
    return grid(header, lines, text_columns=7)


def _outsider_table(board: Board) -> str:
    """Write the table of results from code that is not of the catalogue."""
    measure = board.measure
    unit = "" if measure.is_loss else ", %"
    header = ["name", "code", "checked", f"{measure.title} (mean, 95 % CI)", "seeds", f"every seed{unit}"]
    lines = []
    for outsider in board.outsiders:
        submission = outsider.provenance.submission
        seeds = [
            f"{measure.text(value)}{' (failed)' if seed in outsider.failed_seeds else ''}"
            for seed, value in outsider.scores.items()
        ]
        line = [
            NONE if submission is None else code(submission.name),
            NONE if submission is None else code(submission.code or NONE),
            _outside_text(outsider.provenance),
            measure.summary(outsider.score),
            str(len(outsider.scores)),
            ", ".join(seeds),
        ]
        lines.append(line)
    return grid(header, lines, text_columns=3)


def _outside_text(provenance: MethodProvenance) -> str:
    notice = provenance.notice
    return checked_text(provenance, outside=True) if notice is None else f"{notice.kind}: {prose(notice.reason)}"


def _retired_table(rows: Sequence[MethodRow], measure: Measure) -> str:
    """Write the table of rows that were withdrawn or superseded, with the reason."""
    lines = []
    for row in rows:
        notice = None if row.listing is None else row.listing.provenance.notice
        if notice is not None:
            by = NONE if notice.superseded_by is None else notice.superseded_by
            score = measure.text(row.score.mean)
            lines.append([code(row.label), row.method_id, notice.kind, by, prose(notice.reason), score])
    return grid(["method", "id", "what", "by", "why", measure.title], lines, text_columns=5)


def _unlike_letters(board: Board) -> str:
    """Write how many pairs of methods without a letter in common differ significantly; empty if all of them do."""
    ranks = [row.rank for row in board.rows if row.rank is not None]
    unlike = sum(rank.unlike for rank in ranks)  # pairs without a letter in common
    different = sum(rank.unlike_apart for rank in ranks)  # those that differ significantly
    if different == unlike:
        return ""
    return (
        f"Of the {unlike:,} pairs without a letter in common {different:,} differ significantly; "
        "`sgbench board explain A B` compares two."
    )


def statements(board: Board) -> list[tuple[str, str]]:
    """List how to read a board in pairs of texts: on every board, and on this one alone; either may be empty."""
    sizes = " or ".join(f"{size:,}" for size in board.test_samples)
    of_size = f" of {sizes} samples" if sizes else ""
    latency = "" if board.latency_s is None else f"Here an inference is {number_text(1000 * board.latency_s)} ms."
    checks = [
        "closed: only the surrogate, its slope, the neuron's numbers and the learning rate differ from the "
        "protocol's reference; open: anything that the protocol leaves free. Checked: self-reported (by "
        "nobody), rescored (predictions against the labels; of code outside: answers alone), reinferred "
        "(weights run again), retrained.",
        "Rescoring repeats the score alone; re-inference also operations, energy, parameters and activity; "
        "training again alone shows weights that saw the test set. What was handed in has no rank before both. "
        "Of self-reported rows all is claimed by who ran them; training time, memory, curves, host energy, "
        "provenance and settings tried are claimed everywhere.",
    ]
    handed_in = board.outsiders or any(row.listing for row in board.rows)
    return [
        (
            f"{_about_score(board)} Seeds that are all alike have none.",
            f"Intervals cover training noise on one fixed test set{of_size}, not the choice of that set.",
        ),
        (
            "A rank interval runs from one plus the number of methods that are better to the number of methods "
            "less those that are worse, by t-tests paired by seed with Holm's correction over all pairs at 5 %. "
            f"alike: {ABOUT_LETTERS}.",
            _unlike_letters(board),
        ),
        *(("", sentence) for sentence in _power_sentence(board)),
        (_at_chance(board), f"A failed seed counts as guessing ({_guess(board)}) and is shown."),
        *((("", solved_statement(board)),) if has_solved(board) else ()),
        ("", _budget(board)),
        *((about, "") for about in checks if handed_in),
        *(("", sentence) for sentence in audit_statements(board) if handed_in),
        (
            "Dynamic energy is exact operation counts times published prices; its interval covers the prices, not the "
            "seeds. Static energy is the power of one chip for the modelled time of an inference, whatever the "
            "network. Neither was measured on a device. Costs are means over the seeds that finished.",
            latency,
        ),
        (
            "Synaptic operations are those that inputs other than zero trigger. Spikes are those of all layers, "
            "without the input's.",
            "",
        ),
    ]


def _about_score(board: Board) -> str:
    if board.measure.is_loss:
        return "Loss is the mean over seeds, less is better, with a 95 % interval: Student's t on the logarithm."
    return (
        "Accuracy is the mean over seeds with a 95 % interval: Student's t on the logit, which ends within 0 and 100 %."
    )


def _guess(board: Board) -> str:
    if board.measure.is_loss:
        return f"a loss of {board.measure.guess:.4g}, as without learning"
    guess, even = board.measure.guess, even_guess(board.classes)
    return f"1/{board.classes}" if guess == even else f"{100 * guess:.1f} %, the share of the largest class"


def _at_chance(board: Board) -> str:
    if board.measure.is_loss:
        return "A seed is at chance whose test loss is no less than that of guessing."
    return "A seed is at chance whose test accuracy is at most two standard errors of the test set above guessing."


def _budget(board: Board) -> str:
    """Say how many settings a method may have tried, and of which numbers."""
    budget, space = board.protocol.tuning_trials, board.protocol.search_space
    if space is not None:
        ranges = "; ".join(f"{key} {search_range.text}" for key, search_range in space.items())
        most = "any number of" if budget is None else f"up to {budget:,}"
        return f"A method may have tried {most} settings of these numbers alone, chosen on validation: {ranges}."
    if budget is None:
        return (
            "The protocol sets no tuning budget: each method ran with the settings shown, and a difference between "
            "methods may be one between settings, or in how many were tried."
        )
    return f"A method may have tried up to {budget:,} settings, chosen on the validation split."


@dataclass(frozen=True)
class Power:
    """Holds the statistical power of a board's seeds; differences are in the unit of the scores."""

    seeds: int  # fewest seeds of a ranked method
    spread: float  # standard deviation of one seed's difference to the first method: median over methods
    least: float  # smallest true difference that is found in 8 of 10 cases
    size: float  # a difference to plan for: one point, or a tenth of the loss of guessing
    seeds_for_size: int | None  # seeds that find a difference of `size`; None if more than 10,000


def power(board: Board) -> Power | None:
    """Compute the power of a board's seeds for differences to the first method; None if none has a spread."""
    ranked = [row for row in board.rows if row.rank is not None]
    comparisons = [_compare(ranked[0], row, board.measure) for row in ranked[1:]]
    spreads = [comparison.spread for comparison in comparisons if comparison.spread is not None]
    if not spreads:
        return None
    spread = statistics.median(spreads)
    n = max(MIN_PAIR, min(min(comparison.seeds) for comparison in comparisons))
    size = 0.1 * board.measure.guess if board.measure.is_loss else 0.01  # a tenth of guessing, or one point
    return Power(
        seeds=n,
        spread=spread,
        least=detectable_difference(spread, n),
        size=size,
        seeds_for_size=seeds_needed(size, spread),
    )


def _power_sentence(board: Board) -> Iterator[str]:
    """Yield a sentence on the power of the board's seeds; nothing where it is unknown."""
    seeds_power = power(board)
    if seeds_power is None:
        return
    text, unit = board.measure.text, "" if board.measure.is_loss else " points"
    named = "a tenth of guessing" if board.measure.is_loss else "1 point"
    more = "more than 10,000" if seeds_power.seeds_for_size is None else f"{seeds_power.seeds_for_size:,}"
    yield (
        f"With {seeds_power.seeds} seeds a paired t-test at 5 % finds a true difference of "
        f"{text(seeds_power.least)}{unit} in 8 of 10 cases (the median spread of differences, "
        f"{text(seeds_power.spread)}{unit}; Holm's correction needs more); one of {named} takes {more} seeds. "
        f"That one method beats another in three of four runs takes "
        f"{pairs_needed(SURE)} pairs of runs to show."
    )


def evidence(target: EnergyTarget) -> Iterator[str]:
    """Yield sentences on where a target's prices come from, and which of them were not read in their source."""
    yield f"{target.name} ({prose(target.title)}): {prose(target.about)}"
    items: list[tuple[str, Evidence]] = [(price.operation, price) for price in target.prices]
    items += [("static power", target.static)] if target.static else []
    for mark, words in MARKS.items():
        weak = [name for name, item in items if item.mark == mark]
        if weak:
            yield f"{target.name}: {words}: {', '.join(weak)}."


def baseline_cells(board: Board) -> tuple[list[str], list[list[str]]]:
    """Make head and rows of the table of networks without spikes, the best first."""
    header = [
        "baseline",
        "id",
        f"{board.measure.title} (mean, 95 % CI)",
        "seeds",
        f"better than the first method by, {board.measure.unit} (95 % CI)",
    ]
    header += ["synaptic operations per inference", *(f"{target.name}, nJ" for target in board.targets)]
    header += ["trainable parameters", "training time, s"]
    return header, [_cells(row, board) for row in board.baselines]


def _cells(row: MethodRow, board: Board) -> list[str]:
    """Return a row's cells in the page's main table."""
    cells = [code(row.label), row.method_id, board.measure.summary(row.score), seeds_of(row)]
    cells += [_lead(row, board), number_text(row.costs.synaptic_operations.value)]
    energies = (row.costs.energies[target.name].dynamic_nj for target in board.targets)
    cells += [NONE if energy is None else number_text(energy.value) for energy in energies]
    cells.append(NONE if row.costs.parameters is None else f"{row.costs.parameters:,}")
    return [*cells, number_text(row.costs.training_s)]


def _lead(row: MethodRow, board: Board) -> str:
    """Write by how much a baseline is better than the first method; a dash without one, or on other data."""
    if not board.rows or board.has_other_data(row):
        return NONE
    measure = board.measure
    return measure.difference(compare(measure.signed(row.scores), measure.signed(board.rows[0].scores)))


def about_baselines() -> str:
    """Write the note below the table: what the baselines without spikes are and how they are compared."""
    return (
        "Networks without spikes on the same data in the same code, for as many epochs, with about as many "
        "parameters as the protocol's spiking network where they have hidden layers. They are not ranked. One that "
        "sees counts or all of a sample runs once a sample, others once a step; a value of 0 costs no synaptic "
        "operation."
    )
