"""The answer of the front page to "which surrogate should I use?", with evidence and doubts from the boards.

The advice of a study, if given, comes first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from registry.site.sources import Sources, method_path, protocol_path
from sgbench.leaderboard.families import AcrossTasks, FamilySummary
from sgbench.leaderboard.pages.explain import NO_DIFFERENCE, duel
from sgbench.leaderboard.pages.sections import power
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.plots.board_charts import ForestColumn, ForestMark
from sgbench.plots.chart import Estimate
from sgbench.recommendation.answer import NetworkAdvice
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Table, number, numbers, texts

MOST_NAMED = 6
PER_CENT = 100


@dataclass(frozen=True)
class BoardDuel:
    """Holds the comparison of two methods of one board."""

    protocol: str
    a: Cell
    b: Cell
    difference: Cell  # a minus b with its interval, in the board's unit
    share: Estimate  # a minus b with its interval, in percent of the distance from chance to a perfect score
    is_decided: bool  # whether the difference is significant


@dataclass(frozen=True)
class FrontPageAnswer:
    """Holds the answer of the front page, with its evidence and doubts."""

    headline: str
    advice: Table | None  # what the study recommends, one line for each kind of network
    asked: tuple[str, ...]  # the commands that print the advice
    evidence: tuple[str, ...]  # sentences
    doubts: tuple[str, ...]  # sentences
    seconds: tuple[BoardDuel, ...]  # first against second method of each board
    controls: tuple[BoardDuel, ...]  # best surrogate against best control of each board
    powers: Table | None  # the differences that the seeds of each board can show


def answer_of(sources: Sources, comparison: AcrossTasks | str) -> FrontPageAnswer:
    """Make the answer of the front page from the boards, and from a study's advice if that is shipped."""
    boards = [board for board in sources.boards if board.rows]
    if isinstance(comparison, str) or not boards:
        headline = "The boards cannot say yet."
        reason = comparison if isinstance(comparison, str) else "no board ranks a method"
        evidence: tuple[str, ...] = (f"Nothing is compared over tasks: {reason}.",)
    else:
        headline, evidence = _headline(comparison, sources), tuple(_evidence(comparison, sources))
    if sources.extras.advice:
        evidence = (headline, *evidence)
        headline = _sentence([_advised(advice) for advice in sources.extras.advice])
    with_second = [board for board in boards if len(board.rows) > 1 and not board.has_other_data(board.rows[1])]
    return FrontPageAnswer(
        headline,
        _advice_table(sources),
        tuple(advice.command for advice in sources.extras.advice),
        evidence,
        (
            *(f"{_capital(advice.network)}: {advice.doubt}" for advice in sources.extras.advice if advice.provisional),
            *_doubts(boards, sources),
        ),
        tuple(_duel(board, board.rows[0], board.rows[1]) for board in with_second),
        tuple(
            _duel(board, next(row for row in board.rows if not _is_control(row, sources)), control)
            for board, control in _controls(boards, sources)
        ),
        _powers(boards),
    )


def _headline(comparison: AcrossTasks, sources: Sources) -> str:
    """Answer in one sentence which surrogates lead."""
    best = [family.name for family in _best_families(comparison, sources)]
    if len(comparison.tasks) == 1:
        return f"{best[0]} leads on the one task here; its board says from which others it differs significantly."
    if len(best) == 1:
        return f"{best[0]}, on these tasks."
    return f"Any of {listed(best)}: on these tasks they do not differ significantly."


def _advised(advice: NetworkAdvice) -> str:
    """Write the advice for a kind of network as part of a sentence."""
    settings = advice.settings["accuracy"]
    state = f" (provisional {advice.provisional})" if advice.provisional else ""
    first, *others = (f"{setting.surrogate} at {setting.width_fwhm:g}" for setting in settings)
    first = first.replace(" at ", " at a width of ")  # said once
    reset = ", reset attached" if _is_attached(advice) else ""
    return f"{advice.network}{state}: {' or '.join([first, *others])}{reset}"


def _is_attached(advice: NetworkAdvice) -> bool:
    return all(setting.reset_gradient == "attached" for setting in advice.settings["accuracy"])


def _sentence(parts: Sequence[str]) -> str:
    """Join parts by semicolons into one sentence.

    >>> _sentence(["one layer: atan", "two: nothing"])
    'One layer: atan; two: nothing.'
    """
    return f"{_capital('; '.join(parts))}."


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _advice_table(sources: Sources) -> Table | None:
    """Return what the studies advise for each kind of network; None without advice."""
    rows = [
        (
            Cell(advice.network),
            Cell(tip.surrogate, link=sources.page_of("surrogate", tip.surrogate), is_code=True),
            number(tip.width_fwhm, f"{tip.width_fwhm:g}"),
            Cell("attached" if _is_attached(advice) else "either"),
            *(number(loss, NONE if loss is None else f"{loss:.1f}") for loss in (tip.mean_loss, tip.worst_loss)),
            Cell(tip.rests_on),
        )
        for advice in sources.extras.advice
        for tip in advice.settings["accuracy"]
    ]
    columns = (
        *texts("a network", "try"),
        *numbers("width, thresholds"),
        *texts("reset"),
        *numbers("points lost, mean", "points lost, worst"),
        *texts("rests on"),
    )
    return Table("What the studies advise", columns, tuple(rows)) if rows else None


def _best_families(comparison: AcrossTasks, sources: Sources) -> list[FamilySummary]:
    """List surrogates whose mean ranks do not differ significantly from the best, without controls if any is left."""
    others = [family for family in comparison.families if not sources.is_control(family.name)]
    candidates = others or [*comparison.families]
    if comparison.ranks is None:
        return candidates[:1]
    best_rank = min(family.mean_rank for family in candidates if family.mean_rank is not None)
    worse_from = best_rank + comparison.ranks.critical_difference
    return [family for family in candidates if family.mean_rank is not None and family.mean_rank < worse_from]


def _evidence(comparison: AcrossTasks, sources: Sources) -> Iterator[str]:
    """Yield sentences on the best surrogate by mean score and by mean rank, and on the controls that it beats."""
    first = comparison.families[0]
    mean, low, high = (100 * value for value in (first.interquartile_mean, first.low, first.high))
    over = "On the one task" if len(comparison.tasks) == 1 else f"Over {len(comparison.tasks)} tasks"
    yield (
        f"{over} {first.name} has the highest mean: {mean:.1f} on a scale from 0, guessing, to 100, no error "
        f"(95 % interval {low:.1f} to {high:.1f}; the mean of the middle half of all runs)."
    )
    ranks = comparison.ranks
    if ranks is None:
        return
    mean_ranks = {family.name: family.mean_rank for family in comparison.families if family.mean_rank is not None}
    best = min(mean_ranks, key=lambda name: (mean_ranks[name], name))
    yield (
        f"{best} has the best mean rank, {mean_ranks[best]:.2f} of {len(mean_ranks)}; mean ranks less than "
        f"{ranks.critical_difference:.2f} apart do not differ significantly (Nemenyi, 5 %)."
    )
    controls = [name for name in mean_ranks if sources.is_control(name)]
    beaten = [name for name in controls if mean_ranks[name] - mean_ranks[best] >= ranks.critical_difference]
    unbeaten = [name for name in controls if name not in beaten]
    if beaten:
        yield f"Of the controls, which are there to be beaten, {best} differs significantly from {listed(beaten)}."
    if unbeaten:
        yield f"Over all tasks {best} does not differ significantly from the control {listed(unbeaten)}."


def _doubts(boards: Sequence[Board], sources: Sources) -> Iterator[str]:
    """Yield doubts about the answer, the strongest first; each board must have rows."""
    won = [board.protocol.name for board in boards if _is_control(board.rows[0], sources)]
    if won:
        yield f"A control has the highest mean on {listed(won)}: no surrogate shows its worth there."
    yield "The tasks are small: what holds on them is not known to hold on large networks and data sets."
    near = [
        board.protocol.name
        for board in boards
        if board.protocol.name not in won and _may_a_control_be_first(board, sources)
    ]
    if near:
        yield f"On {listed(near)} a control does not differ significantly from the first."
    untuned = [board.protocol.name for board in boards if board.protocol.tuning_trials is None]
    if untuned:
        count = "any board" if len(untuned) == len(boards) else listed(untuned)
        yield f"No tuning budget is set on {count}: a difference may be one of settings, not of surrogates."
    seeds = sorted({len(row.scores) for board in boards for row in board.rows})
    if seeds:
        count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        yield (
            f"Methods have {count} seeds each, on one fixed test set a task: the intervals cover training "
            "noise, not the choice of the test set or of the tasks."
        )
    yield "Energies are exact counts times published prices; none was measured on a device for these runs."


def _may_a_control_be_first(board: Board, sources: Sources) -> bool:
    return any(row.rank is not None and row.rank.low == 1 for row in board.rows if _is_control(row, sources))


def _powers(boards: Sequence[Board]) -> Table | None:
    """Make the table of the differences that the seeds of each board can show; None if no board can show any."""
    rows = []
    for board in boards:
        board_power, text = power(board), board.measure.text
        if board_power is None:
            continue
        unit = " in loss" if board.measure.is_loss else " points"
        needed = board_power.seeds_for_size
        row = (
            Cell(board.protocol.name, link=protocol_path(board.protocol.name), is_code=True),
            Cell(str(board_power.seeds), float(board_power.seeds)),
            Cell(f"{text(board_power.least)}{unit}"),
            Cell(f"{text(board_power.size)}{unit}"),
            Cell("more than 10,000" if needed is None else f"{needed:,}", needed),
        )
        rows.append(row)
    columns = (
        *texts("protocol"),
        *numbers("seeds"),
        *texts("least difference found in 8 of 10 cases", "one of"),
        *numbers("takes seeds"),
    )
    caption = "Paired t-tests at 5 %, by the median spread of differences to the first; Holm's needs more"
    return Table(caption, columns, tuple(rows)) if rows else None


def _is_control(row: MethodRow, sources: Sources) -> bool:
    return sources.is_control(sources.by_id[row.method_id].method.choices["surrogate"])


def _controls(boards: Sequence[Board], sources: Sources) -> Iterator[tuple[Board, MethodRow]]:
    """Yield the boards that rank both controls and others, each with its best control."""
    for board in boards:
        rows = [row for row in board.rows if _is_control(row, sources)]
        if rows and len(rows) < len(board.rows):
            yield board, rows[0]


def _duel(board: Board, a: MethodRow, b: MethodRow) -> BoardDuel:
    """Compare two rows of a board, with the test that its page uses."""
    comparison, verdict = duel(board, a, b)
    measure = board.measure
    whole = measure.guess if measure.is_loss else 1.0 - measure.guess  # from chance to a perfect score
    low, high = measure.ends(comparison) or (comparison.difference, comparison.difference)
    notes = {NO_DIFFERENCE: ", not significant", "unknown": ", too few seeds"}
    unit = " in loss" if measure.is_loss else ""
    first, second = (
        Cell(row.label, link=method_path(board.protocol.name, row.method_id), is_code=True) for row in (a, b)
    )
    return BoardDuel(
        board.protocol.name,
        first,
        second,
        Cell(f"{measure.difference(comparison)}{unit}{notes.get(verdict, '')}", comparison.difference),
        Estimate(*(PER_CENT * score / whole for score in (comparison.difference, low, high))),
        is_decided=verdict in ("better", "worse"),
    )


def duels_table(answer: FrontPageAnswer) -> Table | None:
    """Make the table of each board's first method against its second and against the best control."""
    controls = {duel.protocol: duel for duel in answer.controls}
    rows = []
    for seconds in answer.seconds:
        board = Cell(seconds.protocol, link=protocol_path(seconds.protocol), is_code=True)
        control = controls.get(seconds.protocol)
        control_cells = (Cell(NONE), Cell(NONE)) if control is None else (control.b, control.difference)
        rows.append((board, seconds.a, seconds.b, seconds.difference, *control_cells))
    columns = (
        *texts("board", "first", "second", "first minus second, points"),
        *texts("best control", "best surrogate minus control, points"),
    )
    caption = "What separates the first from the second, and from a control, with 95 % intervals"
    return Table(caption, columns, tuple(rows)) if rows else None


def duels_columns(answer: FrontPageAnswer) -> tuple[ForestColumn, ...]:
    """Make the panels of the picture that shows the comparisons of `duels_table`."""
    panels = {"the first minus the second": answer.seconds, "best surrogate minus best control": answer.controls}
    return tuple(ForestColumn(title, tuple(map(_forest_mark, duels))) for title, duels in panels.items() if duels)


def _forest_mark(duel: BoardDuel) -> ForestMark:
    label = f"{duel.a.text} minus {duel.b.text}"
    return ForestMark(duel.protocol, duel.share, duel.is_decided, label, protocol_path(duel.protocol))


def listed(names: Sequence[str]) -> str:
    """Write names as a list in a sentence; of many, the first six and the count of others.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed([str(n) for n in range(9)])
    ('a', 'a, b and c', '0, 1, 2, 3, 4, 5 and 3 more')
    """
    shown = [*names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        return f"{', '.join(shown)} and {len(names) - MOST_NAMED} more"
    *before_last, last = shown or [""]
    return f"{', '.join(before_last)} and {last}" if before_last else last
