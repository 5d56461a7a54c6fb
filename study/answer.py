"""The answer of all studies: choices of `answer.yaml` with numbers of their results, and passages made of it."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import yaml
from pydantic import Field

from sgbench.errors import InputError
from sgbench.recommendation.answer import ANSWER, AdvisedSetting, Goal, NetworkAdvice, StudyAnswer
from sgbench.recommendation.summary import SUMMARY, CellSummary, StudySummary, TaskSummary
from sgbench.records.base import Number, Strict, Text
from sgbench.records.calibration import Reset
from sgbench.records.files import read_bytes, read_model, to_json, write_atomic
from sgbench.tables.markup import markdown
from study.reporting.report import Passage
from study.reporting.results import RESULTS, ResultGroup, SettingResult, StudyFigure, StudyResults

CHOICES = "answer.yaml"
COLUMNS = 120
CLOSE_POINTS = 2.0
"""Points of mean loss within which the setting with the fewest spikes is chosen."""
TRIES = 3
NO_RUN = "no stored run yet"
WITHOUT_RECURRENCE = {
    "one_layer": lambda task: not task.shape.recurrent and task.shape.layers == 1,
    "several_layers": lambda task: not task.shape.recurrent and task.shape.layers > 1,
}
"""Groups of the first study's tasks."""


class ChosenSetting(Strict):
    """Names a setting that is advised."""

    surrogate: Text
    width_fwhm: Number
    reset_gradient: Reset | None = None


class NetworkChoice(Strict):
    """Holds what is advised for one kind of network; see `NetworkAdvice`."""

    network: Text
    recurrent: bool
    layers: tuple[int, int | None]
    steps: tuple[int, int | None] = (1, None)
    group: Text
    provisional: Text | None = None
    settings: tuple[ChosenSetting, ...] = Field(min_length=1, max_length=TRIES)
    doubt: Text
    why: tuple[Text, ...] = ()


class Choices(Strict):
    """Holds what is advised, without numbers."""

    condition: Text
    lines: tuple[Text, ...]
    networks: tuple[NetworkChoice, ...]


class Known(NamedTuple):
    """Holds the results of all studies: groups of tasks and figures, by name."""

    groups: Mapping[str, ResultGroup]
    figures: Mapping[str, StudyFigure]


def known(root: Path) -> Known:
    """Read the results of every study; a name that two of them use is an error."""
    summary = read_model(root / "study" / "surrogates" / SUMMARY, StudySummary)
    groups = {name: _group(summary, belongs) for name, belongs in WITHOUT_RECURRENCE.items()}
    figures: dict[str, StudyFigure] = {}
    for path in sorted((root / "study").glob(f"*/{RESULTS}")):
        results = read_model(path, StudyResults)
        twice = sorted({*groups, *figures} & {*results.groups, *results.figures})
        if twice:
            raise InputError(f"{path}: another study has {twice[0]}; name it otherwise")
        groups |= results.groups
        figures |= results.figures
    return Known(groups, figures)


def _group(summary: StudySummary, belongs: Callable[[TaskSummary], bool]) -> ResultGroup:
    """Collect the results of all settings that every task of a group ran, and the range of its networks."""
    tasks = [task for task in summary.tasks.values() if belongs(task)]
    by_task = [
        {(cell.surrogate, cell.width_fwhm): cell for cell in task.cells if cell.lr_factor == 1} for task in tasks
    ]
    best = [max(fmean(cell.score) for cell in cells.values()) for cells in by_task]
    mean_spikes = [fmean(filter(None, map(_log_spikes, cells.values()))) for cells in by_task]
    shared = sorted(set.intersection(*map(set, by_task)))
    settings = []
    for surrogate, width in shared:
        same_setting = [cells[surrogate, width] for cells in by_task]
        losses = {
            task.title: round(top - fmean(cell.score), 1) + 0.0
            for task, top, cell in zip(tasks, best, same_setting, strict=True)
        }
        spikes = [_log_spikes(cell) for cell in same_setting]
        above_mean = [log - mean for log, mean in zip(spikes, mean_spikes, strict=True) if log is not None]
        log_spikes = round(fmean(above_mean), 3) if len(above_mean) == len(tasks) else None
        settings.append(SettingResult(surrogate=surrogate, width_fwhm=width, losses=losses, log_spikes=log_spikes))
    starts = [spikes / task.shape.steps for task in tasks for spikes in task.shape.start_spikes or ()]
    steps, layers = ([getattr(task.shape, name) for task in tasks] for name in ("steps", "layers"))
    rates = [float(str(task.reference["optimizer.lr"])) for task in tasks]
    return ResultGroup(
        against=f"the best of {len(shared)} settings (six shapes, eight widths)",
        seeds=f"{min(len(cell.seeds) for cells in by_task for cell in cells.values())} seeds",
        settings=tuple(settings),
        reach={
            "steps": (min(steps), max(steps)),
            "hidden layers": (min(layers), max(layers)),
            "spikes a neuron and step": (min(starts), round(max(starts), 4)),
        },
        learning_rates=(min(rates), max(rates)),
    )


def _log_spikes(cell: CellSummary) -> float | None:
    known = [log for log in cell.log_spikes if log is not None]
    return fmean(known) if len(known) == len(cell.log_spikes) else None


def answer_of(choices: Choices, results: Known) -> StudyAnswer:
    """Fill in what each advised setting lost."""
    return StudyAnswer(
        lines=tuple(_filled(line, results.figures) for line in choices.lines),
        condition=choices.condition,
        networks=tuple(_network(one, results) for one in choices.networks),
    )


def _filled(text: str, figures: Mapping[str, StudyFigure]) -> str:
    """Fill a text with figures of the studies; InputError names one that none has."""
    try:
        return text.format_map(figures)
    except (KeyError, AttributeError) as error:
        raise InputError(f"{CHOICES}: no study has the figure {error} of '{text[:60]}'") from None


def _network(choice: NetworkChoice, results: Known) -> NetworkAdvice:
    """Make the advice for a kind of network: the chosen settings for accuracy, sorted results for other goals."""
    group = results.groups.get(choice.group)
    if group is None:
        raise InputError(f"{CHOICES}: no study has the group {choice.group}; known are {', '.join(results.groups)}")
    measured = {_key(result): result for result in group.settings}
    chosen = tuple(_advised(setting, measured.get(_key(setting)), group) for setting in choice.settings)
    settings: dict[Goal, tuple[AdvisedSetting, ...]] = {"accuracy": chosen}
    for goal, sort in _ORDERS.items():
        ordered = sort(group)
        if ordered:
            settings[goal] = tuple(_advised(result, result, group) for result in ordered[:TRIES])
    return NetworkAdvice(
        network=choice.network,
        recurrent=choice.recurrent,
        layers=choice.layers,
        steps=choice.steps,
        provisional=choice.provisional,
        settings=settings,
        against=group.against,
        doubt=_filled(choice.doubt, results.figures),
        why=tuple(_filled(text, results.figures) for text in choice.why),
        reach=group.reach,
        learning_rates=group.learning_rates,
    )


def _key(setting: ChosenSetting | SettingResult) -> tuple[str, float, str | None]:
    return setting.surrogate, setting.width_fwhm, setting.reset_gradient


def _advised(
    setting: ChosenSetting | SettingResult, result: SettingResult | None, group: ResultGroup
) -> AdvisedSetting:
    """Fill in what a setting lost on the tasks of its group; without a result that no run was made."""
    surrogate, width, reset = setting.surrogate, setting.width_fwhm, setting.reset_gradient
    advised = AdvisedSetting(surrogate=surrogate, width_fwhm=width, reset_gradient=reset, rests_on=NO_RUN)
    if result is None:
        return advised
    worst = max(result.losses, key=result.losses.__getitem__)
    count = len(result.losses)
    return advised.model_copy(
        update={
            "mean_loss": round(fmean(result.losses.values()), 1) + 0.0,
            "worst_loss": result.losses[worst],
            "worst_on": worst,
            "rests_on": f"{count} task{'s' * (count > 1)}, {group.seeds}",
        }
    )


def _mean_loss(result: SettingResult) -> float:
    return fmean(result.losses.values())


def by_spikes(group: ResultGroup) -> list[SettingResult]:
    """Sort the settings within 2 points of the least mean loss by their spikes; empty if no spikes are known."""
    limit = min(map(_mean_loss, group.settings)) + CLOSE_POINTS
    close = [result for result in group.settings if result.log_spikes is not None and _mean_loss(result) <= limit]
    return sorted(close, key=lambda result: (result.log_spikes or 0.0, _mean_loss(result)))


_ORDERS: Mapping[Goal, Callable[[ResultGroup], list[SettingResult]]] = {
    "spikes": by_spikes,
    "safety": lambda group: sorted(
        group.settings, key=lambda result: (max(result.losses.values()), _mean_loss(result))
    ),
}


def passages(answer: StudyAnswer) -> Iterator[Passage]:
    """Yield the passages of README and docs that repeat the answer: its lines, and its table."""
    lines = "\n\n".join(
        textwrap.fill(text, COLUMNS, break_on_hyphens=False) for text in (*answer.lines, answer.condition)
    )
    for path in ("README.md", "docs/which_surrogate.md"):
        yield Passage(path, "lines", lines, kind="answer")
    yield Passage("README.md", "table", _table(answer, with_doubt=False), kind="answer")
    yield Passage("docs/which_surrogate.md", "table", _table(answer, with_doubt=True), kind="answer")


def _table(answer: StudyAnswer, *, with_doubt: bool) -> str:
    """Write a row for each kind of network, with its first two settings and what they lost."""
    rows = []
    for advice in answer.networks:
        tries = [text for setting in advice.settings["accuracy"][:2] for text in _cells(setting)]
        state = "" if advice.provisional is None else f", provisional {advice.provisional}"
        rows.append([f"{advice.network}{state}", *tries, *([advice.doubt] if with_doubt else [])])
    lost = "points lost (worst)"
    header = ["your network", "first try", lost, "second try", lost, *(["doubt"] if with_doubt else [])]
    return markdown(header, rows, numbers=[])


def _cells(setting: AdvisedSetting) -> tuple[str, str]:
    """Write an advised setting and what it lost as two cells."""
    reset = "" if setting.reset_gradient is None else f", reset {setting.reset_gradient}"
    lost = (
        setting.rests_on
        if setting.mean_loss is None or setting.worst_loss is None
        else f"{setting.mean_loss:.1f} ({setting.worst_loss:.1f}), {setting.rests_on}"
    )
    return f"`{setting.surrogate}` {setting.width_fwhm:g}{reset}", lost


def made(root: Path) -> StudyAnswer:
    tree = yaml.safe_load(read_bytes(root / "study" / CHOICES))
    return answer_of(Choices.model_validate(tree), known(root))


def stale(root: Path) -> list[Path]:
    """List the answer's file and the pages that do not say what the studies give today."""
    answer = made(root)
    pages = [root / passage.path for passage in passages(answer) if not passage.is_in(root)]
    path = root / "study" / ANSWER
    is_old = not path.is_file() or read_bytes(path) != to_json(answer)
    return [*([path] if is_old else []), *dict.fromkeys(pages)]


def write(root: Path) -> list[Path]:
    """Write the answer and every passage that quotes it; return the files that were stale."""
    written = stale(root)
    answer = made(root)
    write_atomic(root / "study" / ANSWER, to_json(answer))
    for passage in passages(answer):
        path = root / passage.path
        write_atomic(path, passage.within(path.read_text(encoding="utf-8")).encode())
    return written
