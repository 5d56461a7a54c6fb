"""Extend a study to other tasks: a user's own data, or data sets of standard size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError, suggest
from sgbench.records.files import first_problem, write_atomic
from sgbench.study.definition import CellGrid, Loaded, RandomSettings, Study, StudyBlock, StudyTask


def extended(study: Study, tasks: Mapping[str, StudyTask]) -> Study:
    """Make a study of the same blocks, shapes, widths and seeds on other tasks.

    A task gets the cells and the ranges of random settings of the task that its `like` names. Left out are blocks
    without such a task, blocks whose cells have ranges of their own (such as time constants, which hold only for
    the steps of the study's tasks), blocks that use the choices of those, and second looks.

    Raises:
        InputError: the `like` of a task names no task of the study.
    """
    likes: dict[str, str] = {}
    for name, task in tasks.items():
        if task.like is None or task.like not in study.tasks:
            near = suggest(task.like or "", study.tasks)
            raise InputError(f"task {name}: like names none of the study's tasks; {near}")
        likes[name] = task.like
    blocks: dict[str, StudyBlock] = {}
    for name, block in study.blocks.items():
        part = _block(block, likes)
        fits = block.purpose != "second_look" and all(
            not grid.ranges and grid.best_of in {None, *blocks} for grid in block.grids
        )
        if part is not None and fits:
            # Without its reference block, runs start from the settings of the task.
            reference = part.reference if part.reference in blocks else None
            blocks[name] = part.model_copy(update={"reference": reference})
    return study.model_copy(update={"tasks": dict(tasks), "blocks": blocks})


def _block(block: StudyBlock, likes: Mapping[str, str]) -> StudyBlock | None:
    """Return a block on other tasks; None if it has no task that they are like."""
    members = [name for name, like in likes.items() if like in block.tasks]
    if not members:
        return None
    grids = [part for grid in block.grids if (part := _grid(grid, members, likes)) is not None]
    settings = None if block.settings is None else _settings(block.settings, members, likes)
    update = {"tasks": tuple(members), "grids": tuple(grids), "settings": settings}
    return block.model_copy(update=update)


def _grid(grid: CellGrid, members: Sequence[str], likes: Mapping[str, str]) -> CellGrid | None:
    """Return a grid for other tasks; None if it is limited to tasks that they are not like."""
    if grid.tasks is None:
        return grid
    tasks = tuple(name for name in members if likes[name] in grid.tasks)
    return grid.model_copy(update={"tasks": tasks}) if tasks else None


def _settings(settings: RandomSettings, members: Sequence[str], likes: Mapping[str, str]) -> RandomSettings:
    """Return random settings in which other tasks have the extra ranges of the tasks that they are like."""
    ranges = {name: settings.by_task[likes[name]] for name in members if likes[name] in settings.by_task}
    return settings.model_copy(update={"by_task": ranges})


def full_scale(loaded: Loaded, names: Sequence[str] = ()) -> Loaded:
    """Make the study of the tasks of standard size in the file of a study.

    Args:
        loaded: the study.
        names: of such tasks; empty takes all.

    Raises:
        InputError: the file has no such task.
    """
    tasks = {name: task for name, task in loaded.study.tasks.items() if task.scale == "full"}
    for name in names:
        if name not in tasks:
            raise InputError(f"--task {name}: no task of standard size; {suggest(name, tasks)}")
    if not tasks:
        raise InputError(f"study {loaded.name}: has no task of standard size")
    chosen = {name: task for name, task in tasks.items() if not names or name in names}
    study = extended(loaded.study, chosen).model_copy(update={"extends": loaded.name})
    return loaded.model_copy(update={"name": f"{loaded.name}_full", "study": study})


def own_task(
    study: Study,
    name: str,
    overrides: Sequence[str],
    *,
    like: str,
    title: str,
    run_s: float | None,
    config_dirs: Sequence[Path],
) -> StudyTask:
    """Make a task of a study from the overrides of a run.

    Args:
        study: the study to extend.
        name: of the task.
        overrides: Hydra overrides of a run.
        like: title or name of the study's task whose cells it gets.
        title: for readers.
        run_s: CPU seconds of a run; None: those of the task `like`.
        config_dirs: folders with the user's own entries.

    Raises:
        InputError: the overrides do not compose a run, or another argument is not valid.
    """
    titles = {task.title: key for key, task in study.tasks.items() if task.scale == "small"}
    like = titles.get(like, like)
    if like not in study.tasks:
        raise InputError(f"--like {like}: the study has no such task; it has: {'; '.join(titles)}")
    if name in study.tasks:
        raise InputError(f"--task {name}: the study has a task of this name; take another")
    model = study.tasks[like]
    spec = PointComposer([folder for folder in config_dirs if folder.is_dir()], ()).spec(overrides)
    lr = spec.method.parameters["optimizer"].get("lr")
    tree = {
        "title": title,
        "words": tuple(overrides),
        "reference": {} if lr is None else {"optimizer.lr": lr},
        "outcome": model.outcome,
        "solved_from": model.solved_from,
        "run_s": model.run_s if run_s is None else run_s,
        "like": like,
    }
    try:
        return StudyTask.model_validate(tree)
    except ValidationError as error:
        raise InputError(f"task {name}: {first_problem(error)}") from error


def extension_text(loaded: Loaded, name: str, task: StudyTask) -> str:
    """Write the file of a study of one task, with the blocks of another study.

    Raises:
        InputError: see `extended`.
    """
    study = extended(loaded.study, {name: task}).model_copy(
        update={
            "about": f"The blocks of study {loaded.name} on a task of its own: {task.title}",
            "extends": loaded.name,
        }
    )
    tree = study.model_dump(mode="json", exclude_unset=True)
    tree["tasks"] = {name: task.model_dump(mode="json", exclude_none=True, exclude_defaults=True)}
    head = (
        f"# Made by sgbench study extend {loaded.name} --task {name}. Commit it before its first run:\n"
        "# what is decided after results were seen proves nothing.\n"
    )
    return head + yaml.safe_dump(tree, sort_keys=False, width=110)


def write_extension(loaded: Loaded, name: str, task: StudyTask, folder: Path) -> Path:
    """Write the file of a study of one task into a folder of entries; return its path.

    Raises:
        InputError: there is such a file already, or see `extended`.
        StorageError: it cannot be written.
    """
    path = folder / "study" / f"{loaded.name}_{name}.yaml"
    if path.exists():
        raise InputError(f"{path}: exists; remove it, or name another --task")
    write_atomic(path, extension_text(loaded, name, task).encode())
    return path
