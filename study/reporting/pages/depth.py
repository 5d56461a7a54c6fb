"""Dead networks: how many runs learn as a network gets deeper, by tail and start."""

from collections.abc import Iterable

from sgbench.study_runner.scores import Score
from study.reporting.evidence import StudyEvidence
from study.reporting.pages.text import StudyPage, details, few, table
from study.reporting.run_table import LEARNS_POINTS

NAME = "depth.md"
TITLE = "When does a deep network learn nothing?"
NARROW = 1.0
"""Widths up to this one are in the first table: wider ones reach a unit at rest whatever the tail."""


def page(evidence: StudyEvidence) -> StudyPage:
    """Write the page on deep networks: which shapes learn at which width and gain."""
    if not evidence.stored("B1"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("B1"),))
    runs = evidence.scores.block("B1")
    narrow = [run for run in runs if _number(run, "width_fwhm") <= NARROW]
    parts = (
        _deepest_sentence(narrow),
        _table_of_partial_success(narrow),
        f"Runs above {LEARNS_POINTS:g} % test accuracy, five seeds each. The tail is an exponent: the smaller, the "
        "heavier. Of five runs, 5/5 shows a share of 57 % or more, and 0/5 one of 43 % or less (Wilson, 95 %).",
        details("All widths", _table(runs)),
    )
    return StudyPage(NAME, TITLE, parts)


def layers(run: Score) -> int:
    return str(run.settings["protocol.hidden"]).count(",") + 1


def _number(run: Score, key: str) -> float:
    return float(str(run.settings[key]))


def learnt(run: Score) -> bool:
    """Return whether a run scores above the bar of half, so that it has learnt."""
    return run.accuracy > LEARNS_POINTS


def _table_of_partial_success(runs: list[Score]) -> str:
    """Tabulate how many runs learn, by tail, where some do not, and count the starts at which all of them do."""
    groups = _learnt_by_combination(runs)  # whether each run learnt
    starts = sorted({(depth, gain, width) for depth, gain, _, width in groups})
    tails = sorted({tail for _, _, tail, _ in groups}, reverse=True)
    rows = []
    for depth, gain, width in starts:
        counts = [groups.get((depth, gain, tail, width), []) for tail in tails]
        if not all(map(all, counts)):
            rows.append([depth, gain, width, *(f"{sum(group)}/{len(group)}" for group in counts)])
    whole = f"At the other {len(starts) - len(rows)} of {len(starts)} combinations of these three every run learns."
    return table(["layers", "gain", "width", *(f"tail {tail:g}" for tail in tails)], rows) + f"\n\n{whole}"


def _deepest_sentence(runs: list[Score]) -> str:
    """Say how many runs of the deepest networks learn, with the most compact and the heaviest shape."""
    deepest = max(layers(run) for run in runs)
    tails = sorted({_number(run, "surrogate.tail") for run in runs})
    gains = sorted({_number(run, "init.gain") for run in runs})
    widths = sorted({_number(run, "width_fwhm") for run in runs})
    said = []
    for gain in (gains[0], gains[-1]):
        for tail, name in ((tails[-1], "most compact shape"), (tails[0], "heaviest")):
            counts = []
            for width in widths:
                combination = (deepest, gain, tail, width)
                group = [learnt(run) for run in runs if _combination(run) == combination]
                counts.append(f"{few(sum(group), len(group))} runs at width {width:g}")
            said.append(f"at gain {gain:g} the {name} learns in {', '.join(counts)}")
    return f"With {deepest} layers: {'; '.join(said)}."


def _combination(run: Score) -> tuple[int, float, float, float]:
    """Return count of layers, gain, tail and width of a run."""
    numbers = (_number(run, key) for key in ("init.gain", "surrogate.tail", "width_fwhm"))
    return (layers(run), *numbers)  # type: ignore[return-value]


def _learnt_by_combination(runs: Iterable[Score]) -> dict[tuple[int, float, float, float], list[bool]]:
    """Group runs by layers, gain, tail and width; each says whether it learnt."""
    groups: dict[tuple[int, float, float, float], list[bool]] = {}
    for run in runs:
        groups.setdefault(_combination(run), []).append(learnt(run))
    return groups


def _table(runs: Iterable[Score]) -> str:
    rows = [[*place, f"{sum(group)}/{len(group)}"] for place, group in sorted(_learnt_by_combination(runs).items())]
    return table(["layers", "gain", "tail", "width", "runs that learn"], rows)
