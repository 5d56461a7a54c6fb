"""Dead networks: how many runs learn as a network gets deeper, by tail and start."""

from collections.abc import Iterable

from sgbench.plots.estimate import Estimate
from sgbench.study.scores import Score
from sgbench.tables import NONE
from study.reporting.evidence import StudyEvidence
from study.reporting.failures import share_of_failures
from study.reporting.pages.shapes import LEARNS_POINTS, MIN_SEEDS
from study.reporting.pages.text import StudyPage, StudyPicture, details, few, table
from study.reporting.plots.shares import DepthLine, DepthPanel, depth_figure

NAME = "depth.md"
TITLE = "When does a deep network learn nothing?"
NARROW = 1.0
"""Widths up to this one are drawn: wider ones reach a unit at rest whatever the tail."""
PERCENT = 100


def page(evidence: StudyEvidence) -> StudyPage:
    if not evidence.stored("B1"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("B1"),))
    runs = evidence.scores.block("B1")
    narrow = [run for run in runs if _number(run, "width_fwhm") <= NARROW]
    gains = sorted({_number(run, "init.gain") for run in narrow})
    widths = sorted({_number(run, "width_fwhm") for run in narrow})
    panels = [
        DepthPanel(f"width {width:g}, gain {gain:g}", _lines(narrow, gain, width)) for width in widths for gain in gains
    ]
    picture = StudyPicture(
        "depth.png",
        "Share of runs that learn against the number of hidden layers, a row a width, a column a gain.",
        panels,
        lambda: depth_figure(panels, columns=len(gains)),
    )
    parts = (
        _message(narrow),
        picture.markdown,
        f"F7. Runs above {LEARNS_POINTS:g} % test accuracy, five seeds each, with intervals of 95 %. The tail is "
        "an exponent: the smaller, the heavier.",
        details("All widths", _table(runs)),
    )
    return StudyPage(NAME, TITLE, parts, (picture,))


def layers(run: Score) -> int:
    return str(run.settings["protocol.hidden"]).count(",") + 1


def _number(run: Score, key: str) -> float:
    return float(str(run.settings[key]))


def learnt(run: Score) -> bool:
    """Return whether a run scores above the bar of half, so that it has learnt."""
    return run.accuracy > LEARNS_POINTS


def _share(runs: Iterable[Score]) -> Estimate:
    cells: dict[str, dict[int, bool]] = {}
    for run in runs:
        cells.setdefault(repr(sorted(run.settings.items(), key=str)), {})[run.seed] = learnt(run)
    seeds = sorted(set.intersection(*(set(cell) for cell in cells.values())))
    if not seeds:
        return Estimate(float("nan"), float("nan"), float("nan"))
    share = share_of_failures([[cell[seed] for seed in seeds] for cell in cells.values()])
    if len(seeds) < MIN_SEEDS:
        return Estimate(share.share, share.share, share.share)
    return Estimate(share.share, share.low, share.high)


def _lines(runs: list[Score], gain: float, width: float) -> tuple[DepthLine, ...]:
    place = (gain, width)
    here = [run for run in runs if (_number(run, "init.gain"), _number(run, "width_fwhm")) == place]
    depths = tuple(sorted({layers(run) for run in here}))
    tails = sorted({_number(run, "surrogate.tail") for run in here}, reverse=True)
    return tuple(
        DepthLine(
            f"tail {tail:g}",
            1 / tail,
            depths,
            tuple(
                _share(run for run in here if layers(run) == depth and _number(run, "surrogate.tail") == tail)
                for depth in depths
            ),
        )
        for tail in tails
    )


def _message(runs: list[Score]) -> str:
    """Describe which shapes learn in the deepest network that starts quiet, and in the one that starts driven."""
    deepest = max(layers(run) for run in runs)
    tails = sorted({_number(run, "surrogate.tail") for run in runs})
    gains = sorted({_number(run, "init.gain") for run in runs})
    widths = sorted({_number(run, "width_fwhm") for run in runs})
    said = []
    for gain in (gains[0], gains[-1]):
        for tail, name in ((tails[-1], "most compact shape"), (tails[0], "heaviest")):
            counts = []
            for width in widths:
                place = (deepest, gain, tail, width)
                group = [learnt(run) for run in runs if _place(run) == place]
                counts.append(f"{few(sum(group), len(group))} runs at width {width:g}")
            said.append(f"at gain {gain:g} the {name} learns in {', '.join(counts)}")
    return f"With {deepest} layers: {'; '.join(said)}."


def _place(run: Score) -> tuple[int, float, float, float]:
    numbers = (_number(run, key) for key in ("init.gain", "surrogate.tail", "width_fwhm"))
    return (layers(run), *numbers)  # type: ignore[return-value]


def _table(runs: Iterable[Score]) -> str:
    groups: dict[tuple[int, float, float, float], list[bool]] = {}
    for run in runs:
        groups.setdefault(_place(run), []).append(learnt(run))
    rows = [[*place, f"{sum(group)}/{len(group)}" if group else NONE] for place, group in sorted(groups.items())]
    return table(["layers", "gain", "tail", "width", "runs that learn"], rows)
