"""`rules_table`: the tables of docs/rules.md, from stored measurements, committed boards and reproductions.

The identities are run anew: each rule's gradient beside autograd over plain loops, as the contract tests have them.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import scaling
from benchmarks.measure import Spread
from benchmarks.memory import MIB, ROOT
from benchmarks.rules import BASELINE, RULES
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.records.files import read_model, write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.reproduction.definition import read
from sgbench.reproduction.figures import FIGURES, read_figures, result_of
from sgbench.reproduction.page import rows
from sgbench.statistics.intervals import summarise
from sgbench.tables.markup import markdown

STEPS = (100, 400, 1600)
RESULTS = Path(__file__).resolve().parent / "results"
BOARDS = {"delayed XOR, %": "delayed_xor_rules_v1", "Randman, %": "randman_rules_v1"}
SHOWN = ("eprop_evidence", "store_recall", "delayed_xor_traces", "superspike_pattern", "eprop_pattern")
PAGE = ROOT / "docs" / "rules.md"
START, END = "<!-- rules: python -m benchmarks rules_table -->", "<!-- /rules -->"
SCALING, SCALING_END = "<!-- scaling: python -m benchmarks scaling_table -->", "<!-- /scaling -->"
ORACLES = {"rtrl": ("rule=rtrl",), "snap1": ("rule=snap1",)}
"""Rules without a measurement: they take no network of this size."""
ONLINE = ("eprop, online", "ottt, online", "local, online", "superspike, online", "s_tllr")
"""Rules whose memory does not grow with time, so that they need less than back-propagation from some length on."""

Key = tuple[str, tuple[tuple[str, Any], ...], bool]


class Measured(NamedTuple):
    """One rule on the network joined all to all."""

    bytes_by_steps: tuple[int, ...]
    times_baseline: Spread


def rewrite(page: Path = PAGE, results: Path = RESULTS, root: Path = ROOT) -> None:
    """Put both tables between their marks of the page."""
    before, after = _around(page, START, END)
    lines = [START, "", table(results, root), "", shown_on_tasks(root), "", END]
    write_atomic(page, (before + "\n".join(lines) + after).encode())


def rewrite_scaling(page: Path = PAGE) -> None:
    """Put the exponents between their marks of the page, and draw the picture."""
    before, after = _around(page, SCALING, SCALING_END)
    write_atomic(page, f"{before}{SCALING}\n\n{scaling.rewrite()}\n\n{SCALING_END}{after}".encode())


def _around(page: Path, start: str, end: str) -> tuple[str, str]:
    """Return the text of a page before the mark `start` and behind the mark `end`, each of which it must have once."""
    text = page.read_text(encoding="utf-8")
    if text.count(start) != 1 or text.count(end) != 1:
        raise InputError(f"{page}: {start} and {end} are needed once each")
    before, _, behind_start = text.partition(start)
    _, _, after = behind_start.partition(end)
    return before, after


def table(results: Path, root: Path) -> str:
    """Write a row for each rule: its identity's error, memory and time, and its accuracy on the boards."""
    measured, errors = measurements(results), identities()
    scores = {title: accuracies(root / "leaderboards" / name) for title, name in BOARDS.items()}
    head = ["rule", "identity: largest error", *(f"MiB, T = {steps}" for steps in STEPS)]
    head += ["less memory than `bptt`", "time, `bptt` = 1", *BOARDS]
    lines = []
    for name, words in {**RULES, **ORACLES}.items():
        rule, *_ = key = key_of(_method(words))
        cells = [f"`{name}`", f"{errors[rule]:.0e}", *_measured_cells(name, measured)]
        is_on_boards = not any(word.startswith(("neuron", "network=")) for word in words)
        cells += [scores[title].get(key, "-") if is_on_boards else "-" for title in BOARDS]
        lines.append(cells)
    return markdown(head, lines, numbers=range(1, len(head)))


def _measured_cells(name: str, measured: Mapping[str, Measured]) -> list[str]:
    """Write a rule's memory by steps, from how many steps on it needs less than back-propagation, and its time."""
    if name not in measured:
        return ["-"] * (len(STEPS) + 2)
    own, base = measured[name], measured[BASELINE]
    memory = [f"{size_bytes / MIB:.1f}" for size_bytes in own.bytes_by_steps]
    crossing = _crossing_text(own.bytes_by_steps, base.bytes_by_steps) if name in ONLINE else "-"
    return [*memory, crossing, f"{own.times_baseline.median:.2f}"]


def _crossing_text(own: Sequence[int], base: Sequence[int]) -> str:
    """Write from how many steps T on `own` memory is less than that of `base`, both measured at `STEPS`.

    Between two measurements memory is interpolated linearly.

    >>> text = _crossing_text
    >>> text([10, 10, 10], [2, 8, 32]), text([20, 80, 320], [2, 8, 32]), text([1, 1, 1], [9, 30, 120])
    ('from T = 500', 'not up to T = 1600', 'from T = 100')
    """
    gaps = [theirs - ours for ours, theirs in zip(own, base, strict=True)]
    place = next((place for place, gap in enumerate(gaps) if gap >= 0), None)
    if place is None:
        return f"not up to T = {STEPS[-1]}"
    if place == 0:
        return f"from T = {STEPS[0]}"
    low, high = gaps[place - 1], gaps[place]
    steps = STEPS[place - 1] - low * (STEPS[place] - STEPS[place - 1]) / (high - low)
    return f"from T = {float(f'{steps:.1e}'):g}"


def measurements(results: Path) -> dict[str, Measured]:
    """Read what was measured on the network joined all to all."""
    path = results / "rules.json"
    if not path.is_file():
        lengths = " ".join(map(str, STEPS))
        raise InputError(
            f"{path}: is missing; run: python -m benchmarks rules --recurrence all_to_all --lengths {lengths} "
            f"--json {path}"
        )
    entries = json.loads(path.read_text(encoding="utf-8"))["recurrence"]["all_to_all"]
    return {
        name: Measured(tuple(entry["added_bytes"][str(steps)] for steps in STEPS), Spread(**entry["times_baseline"]))
        for name, entry in entries.items()
    }


def identities() -> dict[str, float]:
    """Return by rule the largest relative error of its gradient against its `exact_reference`, in float64."""
    from tests.contracts.claims import compared, rule_class

    names = [name for name, entry in catalogue.entries("rule").items() if entry.canonical == name]
    return {name: max(row.error for row in compared(name, rule_class(name).exact_reference)) for name in names}


def accuracies(board: Path) -> dict[Key, str]:
    """Return by rule the mean test accuracy on a committed board with its 95 % interval, if there is one."""
    shares: dict[Key, list[float]] = {}
    for path in sorted(board.glob("records/*/*.json")):
        record = read_model(path, RunRecord)
        if record.test is not None and record.test.accuracy is not None:
            shares.setdefault(key_of(record.method), []).append(record.test.accuracy)
    return {key: _with_interval(values) for key, values in shares.items()}


def _with_interval(values: Sequence[float]) -> str:
    summary = summarise(values, scale="share")
    ends = "" if summary.ends is None else " ({:.1f} to {:.1f})".format(*(100 * end for end in summary.ends))
    return f"{100 * summary.mean:.1f}{ends}"


def key_of(method: Method) -> Key:
    """Return what tells rules apart on the boards: name, parameters, and whether the recurrent gradient is cut.

    The form of a rule and its time step do not count, since they do not change what it computes.
    """
    rule = method.parameters["rule"]
    numbers = tuple(
        sorted((key, value) for key, value in rule.items() if value is not None and key not in ("form", "dt_s"))
    )
    return method.choices["rule"], numbers, method.parameters["network"]["recurrence_gradient"] == "cut"


def _method(words: Sequence[str]) -> Method:
    """Compose the method of a board that has the rule of these words, and their cut of the recurrent gradient."""
    from sgbench.composition.compose import compose

    rule = [word for word in words if re.match(r"rule|network\.recurrence_gradient", word)]
    return compose(["experiment=randman_rules", *rule]).method


def shown_on_tasks(root: Path) -> str:
    """Write the published figures of rules beside ours, as `sgbench reproduce --update` stored them."""
    figures = read_figures(root / "docs" / "reproductions" / FIGURES)
    head = ["`reproduce`", "figure", "published", "ours", "seeds", "verdict"]
    results = [result_of(read(name), figures[name]) for name in SHOWN if name in figures]
    lines = []
    for result in results:
        for name, *cells, _, _ in rows([result]):  # the name is in the first row of a result alone
            lines.append([f"`{result.reproduction.name}`" if name else "", *cells])
    return markdown(head, lines, numbers=[2, 3, 4])
