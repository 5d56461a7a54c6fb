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
from sgbench.tables.markdown import markdown
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
    tasks = [task for task in summary.tasks.values() if belongs(task)]
    cells = [{(cell.surrogate, cell.width_fwhm): cell for cell in task.cells if cell.lr_factor == 1} for task in tasks]
    best = [max(fmean(cell.score) for cell in own.values()) for own in cells]
    shared = sorted(set.intersection(*(set(own) for own in cells)))
    spikes = [fmean(filter(None, map(_log_spikes, own.values()))) for own in cells]
    settings = []
    for surrogate, width in shared:
        own = [each[surrogate, width] for each in cells]
        sent = [_log_spikes(cell) for cell in own]
        settings.append(
            SettingResult(
                surrogate=surrogate,
                width_fwhm=width,
                losses={
                    task.title: round(top - fmean(cell.score), 1) + 0.0
                    for task, top, cell in zip(tasks, best, own, strict=True)
                },
                log_spikes=None
                if None in sent
                else round(fmean(one - mean for one, mean in zip(sent, spikes, strict=True) if one is not None), 3),
            )
        )
    starts = [sent / task.shape.steps for task in tasks for sent in task.shape.start_spikes or ()]
    steps, layers = ([getattr(task.shape, name) for task in tasks] for name in ("steps", "layers"))
    rates = [float(str(task.reference["optimizer.lr"])) for task in tasks]
    return ResultGroup(
        against=f"the best of {len(shared)} settings (six shapes, eight widths)",
        seeds=f"{min(len(cell.seeds) for each in cells for cell in each.values())} seeds",
        settings=tuple(settings),
        reach={
            "steps": (min(steps), max(steps)),
            "hidden layers": (min(layers), max(layers)),
            "spikes a neuron and step": (min(starts), round(max(starts), 4)),
        },
        learning_rates=(min(rates), max(rates)),
    )


def _log_spikes(cell: CellSummary) -> float | None:
    sent = [one for one in cell.log_spikes if one is not None]
    return fmean(sent) if len(sent) == len(cell.log_spikes) else None


def answer_of(choices: Choices, results: Known) -> StudyAnswer:
    """Fill in what each advised setting lost."""
    return StudyAnswer(
        lines=tuple(_filled(line, results.figures) for line in choices.lines),
        condition=choices.condition,
        networks=tuple(_network(one, results) for one in choices.networks),
    )


def _filled(text: str, figures: Mapping[str, StudyFigure]) -> str:
    try:
        return text.format_map(figures)
    except (KeyError, AttributeError) as error:
        raise InputError(f"{CHOICES}: no study has the figure {error} of '{text[:60]}'") from None


def _network(choice: NetworkChoice, results: Known) -> NetworkAdvice:
    group = results.groups.get(choice.group)
    if group is None:
        raise InputError(f"{CHOICES}: no study has the group {choice.group}; known are {', '.join(results.groups)}")
    measured = {(one.surrogate, one.width_fwhm, one.reset_gradient): one for one in group.settings}
    settings: dict[Goal, tuple[AdvisedSetting, ...]] = {
        "accuracy": tuple(
            _advised(one, measured.get((one.surrogate, one.width_fwhm, one.reset_gradient)), group)
            for one in choice.settings
        )
    }
    settings |= {
        goal: tuple(_advised(one, one, group) for one in order(group)[:TRIES])
        for goal, order in _ORDERS.items()
        if order(group)
    }
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


def _advised(one: ChosenSetting | SettingResult, found: SettingResult | None, group: ResultGroup) -> AdvisedSetting:
    setting = AdvisedSetting(
        surrogate=one.surrogate, width_fwhm=one.width_fwhm, reset_gradient=one.reset_gradient, rests_on=NO_RUN
    )
    if found is None:
        return setting
    worst = max(found.losses, key=found.losses.__getitem__)
    count = len(found.losses)
    return setting.model_copy(
        update={
            "mean_loss": round(fmean(found.losses.values()), 1) + 0.0,
            "worst_loss": found.losses[worst],
            "worst_on": worst,
            "rests_on": f"{count} task{'s' * (count > 1)}, {group.seeds}",
        }
    )


def _mean(one: SettingResult) -> float:
    return fmean(one.losses.values())


def by_spikes(group: ResultGroup) -> list[SettingResult]:
    """Sort the settings within 2 points of the least mean loss by their spikes; empty if no spikes are known."""
    least = min(map(_mean, group.settings))
    close = [one for one in group.settings if one.log_spikes is not None and _mean(one) <= least + CLOSE_POINTS]
    return sorted(close, key=lambda one: (one.log_spikes or 0.0, _mean(one)))


_ORDERS: Mapping[Goal, Callable[[ResultGroup], list[SettingResult]]] = {
    "spikes": by_spikes,
    "safety": lambda group: sorted(group.settings, key=lambda one: (max(one.losses.values()), _mean(one))),
}


def passages(answer: StudyAnswer) -> Iterator[Passage]:
    said = "\n\n".join(
        textwrap.fill(text, COLUMNS, break_on_hyphens=False) for text in (*answer.lines, answer.condition)
    )
    for path in ("README.md", "docs/which_surrogate.md"):
        yield Passage(path, "lines", said, kind="answer")
    yield Passage("README.md", "table", _table(answer, with_doubt=False), kind="answer")
    yield Passage("docs/which_surrogate.md", "table", _table(answer, with_doubt=True), kind="answer")


def _table(answer: StudyAnswer, *, with_doubt: bool) -> str:
    rows = []
    for advice in answer.networks:
        tries = [text for one in advice.settings["accuracy"][:2] for text in _cells(one)]
        state = "" if advice.provisional is None else f", provisional {advice.provisional}"
        rows.append([f"{advice.network}{state}", *tries, *([advice.doubt] if with_doubt else [])])
    lost = "points lost (worst)"
    header = ["your network", "first try", lost, "second try", lost, *(["doubt"] if with_doubt else [])]
    return markdown(header, rows, numbers=[])


def _cells(setting: AdvisedSetting) -> tuple[str, str]:
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
    answer = made(root)
    found = [root / passage.path for passage in passages(answer) if not passage.is_in(root)]
    path = root / "study" / ANSWER
    is_old = not path.is_file() or read_bytes(path) != to_json(answer)
    return [*([path] if is_old else []), *dict.fromkeys(found)]


def write(root: Path) -> list[Path]:
    written = stale(root)
    answer = made(root)
    write_atomic(root / "study" / ANSWER, to_json(answer))
    for passage in passages(answer):
        path = root / passage.path
        write_atomic(path, passage.within(path.read_text(encoding="utf-8")).encode())
    return written
