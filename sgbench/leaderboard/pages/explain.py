"""Compares two methods of a board in sentences: score, significance, cost, and the seeds that would show more."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.differing_settings import short_names
from sgbench.leaderboard.pages.explain_energy import energy_sentences
from sgbench.leaderboard.pages.sections import SURE
from sgbench.leaderboard.pages.solved_section import has_solved, solved_sentence
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.repeats import NOT_REPEATABLE
from sgbench.statistics.equivalence import detectable_difference, pairs_needed, seeds_needed
from sgbench.statistics.pairs import Comparison, all_pairs, compare, holm, probability_of_improvement
from sgbench.statistics.rank_places import LEVEL
from sgbench.statistics.same_samples import bootstrap_samples, mcnemar
from sgbench.tables import NONE, number_text, p_text

Hits = Mapping[int, NDArray[np.bool_]]
"""Maps each seed to whether each test sample is classified correctly [samples]."""
RESAMPLING_SEED = 0
FAILED = "failed or at chance"
NO_DIFFERENCE = "no significant difference"
PER_CENT = 100
RANKED_ONCE = "reinferred with all seeds, with its seeds trained again"
NOETHER = f"That A wins three of four runs takes {pairs_needed(SURE)} pairs of runs (Noether's formula)."


@dataclass(frozen=True)
class Explanation:
    """Holds the comparison of methods A and B: its statistics, and its sentences."""

    a: str  # id of method A
    b: str  # id of method B
    difference: float  # of their mean scores, positive where A is better
    low: float | None  # ends of its 95 % interval; None if it has none
    high: float | None
    p: float | None  # of the t-test; None with too few seeds
    p_holm: float | None  # p after Holm's correction over all pairs of the board; None if one is not ranked
    verdict: str  # "better" or "worse" of A, "no significant difference", or "unknown"
    sentences: tuple[str, ...]  # the full comparison
    table: tuple[tuple[str, str, str], ...]  # rows of a name, A's value and B's value, the head first
    short: tuple[str, ...]  # the sentences that matter most: on scores, on energy, and on more seeds


def find_row(board: Board, name: str) -> MethodRow:
    """Find the one method with this id, beginning of an id, label or surrogate, or name and number as in `atan:1`.

    Spaces do not matter, so that `atan (alpha=2)` is `atan(alpha=2)`.
    """
    rows = [*board.shown, *board.retired]
    spaceless = name.replace(" ", "")
    for is_match in (  # the most exact first
        lambda row: spaceless in (row.method_id, row.label.replace(" ", "")),
        lambda row: row.method_id.startswith(name),
        lambda row: spaceless in (row.method.label, row.surrogate.replace(" ", "")),
        lambda row: spaceless in short_names(row.method.label, row.method.parameters.get("surrogate", {})),
    ):
        matches = [row for row in rows if is_match(row)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            names = ", ".join(f"{row.method_id} {row.label}" for row in matches[:6])
            raise InputError(f"'{name}' names {len(matches)} methods; give an id or a number, as atan:1: {names}")
    known = [row.method_id for row in rows] + [row.method.label for row in rows]
    raise InputError(f"{board.protocol.name} has no method '{name}'; {suggest(name, set(known), 'sgbench board show')}")


def why_no_samples(reference: ProtocolReference) -> str | None:
    """Explain why the methods of a protocol cannot be compared sample by sample, or return None if they can."""
    if reference.classes is None:
        return "a loss has no samples that are right or wrong"
    return "the steps of one sample depend on each other" if reference.labels_steps else None


def explain_rows(
    board: Board, a: MethodRow, b: MethodRow, *, hits: Mapping[str, Hits], no_samples: str | None = None
) -> Explanation:
    """Compare two methods of a board in sentences.

    `hits`: maps the ids of methods with stored predictions to which test samples are right. `no_samples`: why methods
    of this board cannot be compared sample by sample; None if they can.
    """
    if a.method_id == b.method_id:
        raise InputError(f"both are method {a.method_id}; name two")
    measure = board.measure
    comparison = compare(measure.signed(a.scores), measure.signed(b.scores))
    adjusted, pairs = _holm_p(board, a, b)
    verdict, ends = _verdict(comparison, adjusted), measure.ends(comparison)
    answer = _answer(verdict, comparison, adjusted, pairs, measure)
    energy, more_seeds = tuple(energy_sentences(a, b, board)), _more_seeds(comparison, measure)
    notices = tuple(_notices(a, b))
    sentences = (
        f"A is {a.label} ({a.method_id}), B is {b.label} ({b.method_id}), both on {board.protocol.name}.",
        *(_score_sentence(name, row, board) for name, row in (("A", a), ("B", b))),
        answer,
        *([solved_sentence(a, b, board)] if has_solved(board) else []),
        _improvement(a, b, measure),
        *([f"Sample by sample nothing is said: {no_samples}."] if no_samples else _on_samples(a, b, hits, board)),
        _costs(a, b, board),
        *energy,
        f"{more_seeds} {NOETHER}",
        _about_intervals(board),
        *notices,
    )
    return Explanation(
        a=a.method_id,
        b=b.method_id,
        difference=comparison.difference,
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        p=comparison.p,
        p_holm=adjusted,
        verdict=verdict,
        sentences=sentences,
        table=tuple(_table(a, b, board)),
        short=(answer, *energy[:1], more_seeds, *notices),
    )


def _table(a: MethodRow, b: MethodRow, board: Board) -> Iterator[tuple[str, str, str]]:
    """Yield rows of name, figure of A and figure of B, for the figures that both have."""
    yield "", a.label, b.label
    yield "method", a.method_id, b.method_id
    figures_a, figures_b = figures(a, board), figures(b, board)
    for name, text in figures_a.items():
        if name in figures_b and not (name == FAILED and text == figures_b[name] == "0"):
            yield name, text, figures_b[name]


def figures(row: MethodRow, board: Board) -> dict[str, str]:
    """Map the names of a method's numbers (score, seeds, costs) to their texts; unknown energies are left out."""
    text, ends, costs = board.measure.text, row.score.ends, row.costs
    figures_by_name = {
        board.measure.title: text(row.score.mean),
        "95 % interval": NONE if ends is None else " to ".join(map(text, ends)),
        "seeds": str(row.score.n),
        FAILED: str(len(row.failed_seeds) + len(row.at_chance)),
        "spikes": number_text(costs.spikes.value),
        "synaptic operations": number_text(costs.synaptic_operations.value),
    }
    for target in board.targets:
        priced = costs.energies.get(target.name)
        if priced is not None and priced.dynamic_nj is not None:
            name = f"nJ, {target.name}{' (a part)' if target.missing else ''}"
            figures_by_name[name] = number_text(priced.dynamic_nj.value)
    return figures_by_name


def duel(board: Board, a: MethodRow, b: MethodRow) -> tuple[Comparison, str]:
    """Compare two methods of a board; return also the verdict on A, as `Explanation.verdict` has it."""
    comparison = compare(board.measure.signed(a.scores), board.measure.signed(b.scores))
    return comparison, _verdict(comparison, _holm_p(board, a, b)[0])


def _holm_p(board: Board, a: MethodRow, b: MethodRow) -> tuple[float | None, int]:
    """Compute the pair's p-value after Holm's correction over all ranked pairs, and the count of these pairs.

    None and 0 if one of both has no rank.
    """
    ranked = [row for row in board.rows if row.rank is not None]
    names = [row.method_id for row in ranked]
    if a.method_id not in names or b.method_id not in names:
        return None, 0
    _, p = all_pairs([board.measure.signed(row.scores) for row in ranked])
    first, second = sorted((names.index(a.method_id), names.index(b.method_id)))
    n = len(names)
    index = first * n - first * (first + 1) // 2 + second - first - 1  # in the order of numpy.triu_indices
    return float(holm(p)[index]), len(p)


def _verdict(comparison: Comparison, adjusted: float | None) -> str:
    """Return whether A is "better" or "worse"; `adjusted` is p after Holm's correction, None if one has no rank."""
    if comparison.p is None:
        return "unknown"
    p = comparison.p if adjusted is None else adjusted
    if p < LEVEL:
        return "better" if comparison.difference > 0 else "worse"
    return NO_DIFFERENCE


def _points(value: float) -> str:
    return f"{PER_CENT * value:.2f}"


def _difference_text(value: float, measure: Measure) -> str:
    return f"{measure.text(value)}{'' if measure.is_loss else ' points'}"


def _score_sentence(name: str, row: MethodRow, board: Board) -> str:
    """Say a row's score, over how many seeds, and how many of them failed."""
    summary, text = row.score, board.measure.text
    failed = f", {len(row.failed_seeds)} of them failed and counted as guessing" if row.failed_seeds else ""
    failed += f", {len(row.at_chance)} no better than guessing" if row.at_chance else ""
    ends = "" if summary.ends is None else ", 95 % interval {} to {}".format(*map(text, summary.ends))
    seeds = f"{summary.n} seed{'s' if summary.n > 1 else ''}"
    if board.measure.is_loss:
        return f"{name}: test loss {text(summary.mean)} over {seeds}{failed}{ends}; less is better."
    return f"{name}: {text(summary.mean)} % right on the test split over {seeds}{failed}{ends}."


def _answer(verdict: str, comparison: Comparison, adjusted: float | None, pairs: int, measure: Measure) -> str:
    """Write which method is better, with the difference, its interval and its p-values.

    `adjusted` is the p-value after Holm's correction for so many `pairs`; None if one method has no rank.
    """
    if comparison.p is None:
        return "Whether A is better than B cannot be said: at least two seeds of each are needed."
    lead = {
        "better": "A is better than B",
        "worse": "A is worse than B",
        NO_DIFFERENCE: "A and B do not differ significantly",
    }[verdict]
    ends = measure.ends(comparison)
    interval = "the same in every seed" if ends is None else "95 % interval {} to {}".format(*map(measure.text, ends))
    how = (
        f"paired by {len(comparison.shared)} seeds" if comparison.shared else "unpaired, since no two seeds are shared"
    )
    corrected = "" if adjusted is None else f", and p {_equals(adjusted)} after Holm's correction for {pairs} pairs"
    difference = "B minus A" if measure.is_loss else "A minus B"  # positive where A is better
    return (
        f"{lead}: {difference} is "
        f"{_difference_text(comparison.difference, measure)} ({interval}), t-test {how}, "
        f"p {_equals(comparison.p)}{corrected}."
    )


def _equals(p: float) -> str:
    text = p_text(p)
    return text if text.startswith("<") else f"= {text}"


def _improvement(a: MethodRow, b: MethodRow, measure: Measure) -> str:
    chance = probability_of_improvement(measure.signed(a.scores), measure.signed(b.scores))
    return (
        f"A run of A beats a run of B with probability {chance.probability:.2f} "
        f"(95 % interval {chance.low:.2f} to {chance.high:.2f}, from {chance.comparisons} comparisons)."
    )


def _on_samples(a: MethodRow, b: MethodRow, hits: Mapping[str, Hits], board: Board) -> Iterator[str]:
    """Yield sentences on both methods on the same test samples: McNemar's test of each seed, and a bootstrap.

    `hits` maps the ids of methods to which samples are right; without those of both, the sentence says so.
    """
    missing = [name for name, row in (("A", a), ("B", b)) if row.method_id not in hits]
    if missing:
        yield f"Sample by sample nothing can be said: predictions of {' and '.join(missing)} are not in the store."
        return
    hits_a, hits_b = hits[a.method_id], hits[b.method_id]
    shared = sorted(hits_a.keys() & hits_b.keys())
    if not shared:
        yield "Sample by sample nothing can be said: no seed has the predictions of both."
        return
    tests = [mcnemar(hits_a[seed], hits_b[seed]) for seed in shared]
    p = holm(np.array([test.p for test in tests]))
    significant = int((p < LEVEL).sum())
    only = ", ".join(f"{test.only_a} against {test.only_b}" for test in tests)
    yield (
        f"On the same samples, right by A alone against right by B alone, seed by seed: {only}; McNemar's exact "
        f"test finds a difference in {significant} of {len(shared)} seeds after Holm's correction."
    )
    low, high = bootstrap_samples(
        np.stack([hits_a[seed] for seed in shared]),
        np.stack([hits_b[seed] for seed in shared]),
        generator=np.random.Generator(np.random.PCG64(RESAMPLING_SEED)),
    )
    yield (
        f"Drawing the {len(hits_a[shared[0]]):,} test samples anew (paired bootstrap), A minus B is {_points(low)} "
        f"to {_points(high)} points in 95 % of draws: what this test set leaves open, training noise aside."
    )


def _costs(a: MethodRow, b: MethodRow, board: Board) -> str:
    """Say what A and B need for an inference, as figures and ratios."""
    operations_a, operations_b = a.costs.synaptic_operations.value, b.costs.synaptic_operations.value
    parts = [
        _ratio("spikes", a.costs.spikes.value, b.costs.spikes.value, ""),
        _ratio("synaptic operations", operations_a, operations_b, ""),
    ]
    for target in board.targets:
        first, second = a.costs.energies.get(target.name), b.costs.energies.get(target.name)
        if first is None or second is None or first.dynamic_nj is None or second.dynamic_nj is None:
            continue
        partial = " (a part)" if target.missing else ""
        cost = f"dynamic energy on {target.name}{partial}"
        parts.append(_ratio(cost, first.dynamic_nj.value, second.dynamic_nj.value, " nJ"))
    return f"Per inference A needs {'; '.join(parts)}."


def _ratio(cost: str, a: float | None, b: float | None, unit: str) -> str:
    if a is None or b is None:
        return f"{cost} unknown"
    times = f", {a / b:.2f} times as many" if b and not unit else f", {a / b:.2f} times" if b else ""
    return f"{number_text(a)}{unit} {cost} against {number_text(b)}{unit}{times}"


def _more_seeds(comparison: Comparison, measure: Measure) -> str:
    """Write which true difference the seeds of two methods can show, and how many seeds would show the observed one."""
    if comparison.spread is None:
        return "To settle it, run at least the seeds of the protocol for both."
    n = max(2, min(comparison.seeds))
    least = detectable_difference(comparison.spread, n)
    needed = seeds_needed(comparison.difference, comparison.spread)
    if needed is None:
        seeds_for_observed = "this one is so small that not even 10,000 would show it"
    elif needed <= n:
        seeds_for_observed = f"{needed} other seeds would show this one again as often"
    else:
        seeds_for_observed = f"for one as small as this you would need {needed:,} seeds each"
    return (
        f"With {n} seeds, between which the difference spreads by {_difference_text(comparison.spread, measure)}, you "
        f"would find a true one of {_difference_text(least, measure)} in 8 of 10 cases; {seeds_for_observed}."
    )


def _about_intervals(board: Board) -> str:
    sizes = " or ".join(f"{size:,}" for size in board.test_samples)
    of_size = f" of {sizes} samples" if sizes else ""
    return f"The intervals over seeds cover training noise on one fixed test set{of_size}."


def _notices(a: MethodRow, b: MethodRow) -> Iterator[str]:
    """Yield what a reader should know before comparing: other files, notices, and why a row has no rank."""
    if a.data_sha256 != b.data_sha256:
        yield "A and B rest on different files, so that the difference may be that of the files."
    for name, row in (("A", a), ("B", b)):
        listing = row.listing
        if listing is None:
            continue
        if listing.provenance.notice is not None:
            yield f"{name} is {listing.provenance.notice.kind}: {listing.provenance.notice.reason}."
        failed = listing.provenance.failed
        if failed is not None:
            yield f"{name} has no rank, since it failed when it was {failed.tier}: {failed.statement}."
        elif row.is_claimed:
            repeats = listing.provenance.repeats
            is_loose = repeats is not None and repeats.outcome == "loose"
            why = NOT_REPEATABLE if is_loose else f"it was handed in, and is not {RANKED_ONCE}"
            yield f"{name} has no rank yet: {why}."
        submission = listing.provenance.submission
        if submission is not None and submission.tuning_trials:
            yield f"{name} was chosen among {submission.tuning_trials} settings on the validation split."
