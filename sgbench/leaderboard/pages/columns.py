"""The columns of a board, declared once for its page, its CSV, the terminal and the site."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from sgbench.energy.price import BoundedValue
from sgbench.leaderboard.costs import Amount, Energy
from sgbench.leaderboard.pages.checked import is_loose, repeats_text, seeds_of, trust_text
from sgbench.leaderboard.pages.sections import tried_text
from sgbench.leaderboard.pages.solved_section import has_solved, solved_share, solved_text
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.records.energy import EnergyTarget
from sgbench.statistics.pairs import MIN_SEEDS
from sgbench.tables import NONE, inert, number_text
from sgbench.tables.table import Cell, Note

METHOD, ACCURACY, ACTIVITY, ENERGY, PROVENANCE = "method", "accuracy", "activity", "energy", "provenance"
"""Groups of columns; the site shows the last three on request."""
Form = Literal["page", "site", "brief"]
Value = str | float | int | None
CLAIMED = "claimed by who ran it: no tier repeats it"
ALONE = "one seed gives neither an interval nor a rank"
UNACCEPTED = (
    "data not accepted: no maintainer has accepted what holders of the original files found, so rows may rest on "
    "different files; see: sgbench data confirm"
)
OTHER_DATA = "rests on other files than the first row, and is neither ranked nor compared with it"


def _no_cell(_: MethodRow) -> Cell:
    return Cell(NONE)


def _no_values(_: MethodRow) -> dict[str, Value]:
    return {}


@dataclass(frozen=True)
class BoardColumn:
    """Describes a column: its title in each form that shows it, its cells, and its fields in `table.csv`.

    The forms of a board are the page `table.md`, the site, and the brief table of `board show`.
    """

    group: str
    titles: Mapping[Form, str] = field(default_factory=dict)
    cell: Callable[[MethodRow], Cell] = _no_cell
    values: Callable[[MethodRow], Mapping[str, Value]] = _no_values  # maps fields of `table.csv` to values
    is_number: bool = True
    notes: tuple[Note, ...] = ()  # of the title


def board_columns(board: Board) -> list[BoardColumn]:
    """List the columns of all forms of a board, in their order."""
    return [
        *_method_columns(board),
        *_accuracy_columns(board),
        BoardColumn(
            ACTIVITY,
            titles={"page": "spikes per inference", "site": "spikes", "brief": "spikes"},
            cell=lambda row: _amount(row.costs.spikes),
            values=lambda row: {"spikes_per_inference": row.costs.spikes.value},
        ),
        BoardColumn(
            ACTIVITY,
            titles={
                "page": "synaptic operations per inference",
                "site": "synaptic operations",
                "brief": "synaptic operations",
            },
            cell=lambda row: _amount(row.costs.synaptic_operations),
            values=lambda row: {"synaptic_operations_per_inference": row.costs.synaptic_operations.value},
        ),
        BoardColumn(PROVENANCE, values=lambda row: _listing_values(row, board.measure)),
        *(column for target in board.targets for column in _energy_columns(target)),
        *_provenance_columns(board),
    ]


def columns_in(board: Board, form: Form) -> list[BoardColumn]:
    return [column for column in board_columns(board) if form in column.titles]


def is_handed_in(board: Board) -> bool:
    """Return whether the board knows of its methods who submitted the records and what was verified."""
    return any(row.listing is not None for row in board.shown)


def _method_columns(board: Board) -> Iterator[BoardColumn]:
    """Yield the columns of rank, letters, name, and the settings in which methods differ."""
    yield BoardColumn(
        METHOD,
        titles={"page": "rank", "site": "rank", "brief": "rank"},
        cell=lambda row: Cell(rank_text(row), None if row.rank is None else float(row.rank.low)),
        values=lambda row: {
            "rank_low": None if row.rank is None else row.rank.low,
            "rank_high": None if row.rank is None else row.rank.high,
        },
    )
    yield BoardColumn(
        METHOD,
        titles={"page": "alike", "site": "alike", "brief": "alike"},
        cell=lambda row: Cell(_letters(row)),
        values=lambda row: {"alike": _letters(row), "method_id": row.method_id},
        is_number=False,
    )

    def data_state(row: MethodRow) -> str:
        return f"not accepted{', other files' if board.has_other_data(row) else ''}"

    def data_notes(row: MethodRow) -> tuple[Note, ...]:
        notes = () if board.is_data_accepted else (Note(UNACCEPTED),)
        return (*notes, Note(OTHER_DATA)) if board.has_other_data(row) else notes

    yield BoardColumn(
        METHOD,
        titles={"brief": "method"},
        cell=lambda row: Cell(row.label + ("" if board.is_data_accepted else f", data {data_state(row)}")),
        is_number=False,
    )
    yield BoardColumn(
        METHOD,
        titles={"page": "surrogate", "site": "method"},
        cell=lambda row: Cell(row.surrogate, notes=data_notes(row), is_code=True),
        values=lambda row: {"surrogate": row.surrogate},
        is_number=False,
    )
    if board.baselines:
        yield BoardColumn(METHOD, values=lambda row: {"baseline": "yes" if row in board.baselines else "no"})
    if board.claimed:
        yield BoardColumn(METHOD, values=lambda row: {"claimed": "yes" if row in board.claimed else "no"})
    if not board.is_data_accepted:
        yield BoardColumn(
            METHOD, values=lambda row: {"data": data_state(row), "data_sha256": " ".join(row.data_sha256)}
        )
    for group in board.varying:
        yield BoardColumn(
            METHOD,
            titles={"page": group, "site": group},
            cell=lambda row, group=group: Cell(row.varying.get(group, NONE), is_code=True),
            values=lambda row, group=group: {group: row.varying.get(group, "")},
            is_number=False,
        )


def _letters(row: MethodRow) -> str:
    return "" if row.rank is None else row.rank.groups


def _accuracy_columns(board: Board) -> Iterator[BoardColumn]:
    """Yield the columns of the score: mean with interval, seeds, solved seeds, and one value for each seed."""
    measure, planned = board.measure, len(board.protocol.seeds)
    name = f"test_{measure.kind}"

    @cache
    def seeds() -> list[int]:
        return sorted({seed for row in board.shown for seed in row.scores})

    def score_values(row: MethodRow) -> dict[str, Value]:
        mean, half = row.score.mean, row.score.half_width
        low, high = (None, None) if half is None else (mean - half, mean + half)
        shown_low, shown_high = row.score.ends or (None, None)
        return {
            f"{name}_mean": mean,
            f"{name}_low": low,  # of Student's interval, which may end where no score can
            f"{name}_high": high,
            f"{name}_interval_low": shown_low,  # as the page shows it
            f"{name}_interval_high": shown_high,
        }

    def interval(row: MethodRow) -> Cell:
        if row.score.ends is None:
            return Cell(NONE)
        low, high = row.score.ends
        return Cell(f"{measure.text(low)} to {measure.text(high)}", high - low)

    def single_seed_note(row: MethodRow) -> tuple[Note, ...]:
        return (Note(ALONE),) if row.rank is None and len(row.scores) < MIN_SEEDS else ()

    yield BoardColumn(
        ACCURACY,
        titles={"page": f"{measure.title} (mean, 95 % CI)", "brief": measure.title},
        cell=lambda row: Cell(measure.summary(row.score), notes=single_seed_note(row)),
        values=score_values,
    )
    yield BoardColumn(
        ACCURACY,
        titles={"site": measure.title},
        cell=lambda row: Cell(measure.text(row.score.mean), row.score.mean, notes=single_seed_note(row)),
    )
    yield BoardColumn(ACCURACY, titles={"site": "95 % interval"}, cell=interval)
    yield BoardColumn(
        ACCURACY,
        titles={"page": "seeds", "site": "seeds"},
        cell=lambda row: Cell(seeds_of(row, planned=planned), float(len(row.scores))),
        values=lambda row: {"seeds": len(row.scores), "failed_seeds": " ".join(map(str, row.failed_seeds))},
    )
    yield BoardColumn(ACCURACY, titles={"brief": "seeds"}, cell=lambda row: Cell(seeds_of(row)))
    if has_solved(board):
        yield BoardColumn(
            ACCURACY,
            titles={"page": "solved (95 % CI)", "site": "solved", "brief": "solved"},
            cell=lambda row: Cell(solved_text(row, board), solved_share(row, board).share),
            values=lambda row: _solved_values(row, board),
        )
    yield BoardColumn(ACCURACY, values=lambda row: {f"{name}_seed_{seed}": row.scores.get(seed) for seed in seeds()})


def _solved_values(row: MethodRow, board: Board) -> dict[str, Value]:
    share = solved_share(row, board)
    return {"solved_share": share.share, "solved_low": share.low, "solved_high": share.high}


def _amount(amount: Amount) -> Cell:
    if amount.value is None:
        return Cell(NONE, notes=tuple(Note("", reason) for reason in amount.reasons))
    return Cell(number_text(amount.value), amount.value)


def _energy_columns(target: EnergyTarget) -> Iterator[BoardColumn]:
    """Yield the columns of the energy on one target, dynamic and static."""
    name = target.name
    gap = f"a part, not a whole: prices of {name} leave out {'; '.join(target.missing)}"
    notes = (Note(gap),) if target.missing else ()
    yield BoardColumn(
        ENERGY,
        titles={"page": f"{name}: dynamic energy per inference, nJ", "site": f"{name} dynamic, nJ"},
        cell=lambda row: _interval_cell(row.costs.energies[name].dynamic_nj, row.costs.energies[name], "no total:"),
        values=lambda row: _energy_values(name, row.costs.energies[name]),
        notes=notes,
    )
    if target.static is not None and all(price.scope != "all_in" for price in target.prices):
        yield BoardColumn(
            ENERGY,
            titles={"page": f"{name}: static energy per inference, µJ", "site": f"{name} static, µJ"},
            cell=lambda row: _static_cell(row.costs.energies[name]),
            notes=notes,
        )
    star = " *" if target.missing else ""
    title = f"{name}, nJ{star}"
    yield BoardColumn(
        ENERGY, titles={"brief": title}, cell=lambda row: _value_cell(row.costs.energies[name].dynamic_nj)
    )


def _interval_cell(value: BoundedValue | None, energy: Energy, note: str = "") -> Cell:
    """Return the cell of an energy with its interval; if it is None, a dash with the reasons after `note`."""
    if value is None:
        return Cell(NONE, notes=tuple(Note(note, reason) for reason in energy.reasons))
    return Cell(_interval_text(value), value.value)


def _static_cell(energy: Energy) -> Cell:
    static_uj = None if energy.static_nj is None else energy.static_nj.times(1e-3)  # µJ
    return _interval_cell(static_uj, energy)


def _value_cell(value: BoundedValue | None) -> Cell:
    return Cell(NONE) if value is None else Cell(number_text(value.value))


def _energy_values(name: str, energy: Energy) -> dict[str, Value]:
    """Return the fields of `table.csv` on the energy on the target `name` [nJ], and what it leaves out and why."""
    ends: dict[str, Value] = {
        f"{name}_{kind}_{end}_nj": None if interval is None else getattr(interval, end)
        for kind, interval in (("dynamic", energy.dynamic_nj), ("static", energy.static_nj))
        for end in ("value", "low", "high")
    }
    reasons = {"left_out": energy.missing, "no_total_because": energy.reasons}
    return ends | {f"{name}_{key}": "; ".join(map(inert, texts)) for key, texts in reasons.items()}


def _provenance_columns(board: Board) -> Iterator[BoardColumn]:
    """Yield the columns of size, training time, submission, verification and records."""
    handed_in = is_handed_in(board)
    claimed = (Note(CLAIMED),) if handed_in else ()
    yield BoardColumn(
        PROVENANCE,
        titles={"page": "trainable parameters", "site": "parameters"},
        cell=lambda row: Cell(number_text(row.costs.parameters), row.costs.parameters),
        values=lambda row: {"parameters": row.costs.parameters},
    )
    yield BoardColumn(
        PROVENANCE,
        titles={"page": "training time, s", "site": "training, s"},
        cell=lambda row: Cell(number_text(row.costs.training_s), row.costs.training_s),
        values=lambda row: {"training_time_s": row.costs.training_s},
        notes=claimed,
    )
    if handed_in:
        yield BoardColumn(
            PROVENANCE, titles={"page": "settings tried", "site": "settings tried"}, cell=_tried, notes=claimed
        )
        yield BoardColumn(
            PROVENANCE,
            titles={"page": "division", "site": "division"},
            cell=lambda row: Cell(NONE if row.listing is None else row.listing.division),
            is_number=False,
        )
        yield BoardColumn(
            PROVENANCE,
            titles={"page": "checked", "site": "checked"},
            cell=lambda row: Cell(repeats_text(row, board.measure)),
            is_number=False,
        )
    yield BoardColumn(PROVENANCE, titles={"page": "records"}, cell=lambda row: Cell(row.method_id), is_number=False)


def _tried(row: MethodRow) -> Cell:
    tried = tried_text(row)
    return Cell(tried, None if tried == NONE else float(tried))


def _listing_values(row: MethodRow, measure: Measure) -> dict[str, Value]:
    """Return the CSV's values on who checked a row, and with which outcome; none if the row was not handed in."""
    if row.listing is None:
        return {}
    provenance = row.listing.provenance
    repeats = provenance.repeats
    return {
        "division": row.listing.division,
        "checked": trust_text(row),
        f"verified_{measure.kind}": None if provenance.best is None else provenance.best.verified,
        "tuning_trials": None if provenance.submission is None else str(provenance.submission.tuning_trials),
        "repeated_seeds": "" if repeats is None else " ".join(map(str, repeats.seeds)),
        "repeated_by": "" if repeats is None else "; ".join(map(inert, repeats.by)),
        "repeat_tolerance": None if repeats is None else repeats.allowed,
        "repeat_outcome": "" if repeats is None else repeats.outcome,
        "repeat_is_loose": "" if repeats is None else "yes" if is_loose(row, measure) else "no",
        "repeated_elsewhere_by": "; ".join(inert(each.by) for each in provenance.elsewhere if each.agrees),
    }


def rank_text(row: MethodRow) -> str:
    if row.rank is None:
        return NONE
    low, high = row.rank.low, row.rank.high
    return f"{low}" if low == high else f"{low} to {high}"


def _interval_text(interval: BoundedValue) -> str:
    """Write a value, and the ends of its interval in brackets if it has a width."""
    value, low, high = (number_text(number) for number in (interval.value, interval.low, interval.high))
    return value if low == high else f"{value} ({low} to {high})"
