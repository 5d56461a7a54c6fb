"""Extend a study to other tasks: a user's own data, or data sets of standard size."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import ValidationError

from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError, suggest
from sgbench.records.files import first_problem, write_atomic
from sgbench.study_runner.definition import CellGrid, Loaded, Study, StudyBlock, StudyTask


def extended(study: Study, tasks: Mapping[str, StudyTask]) -> Study:
    """Make a study of the same blocks, shapes, widths and seeds on other tasks, which are given by name.

    A task gets the cells and the ranges of random settings of the task that its `like` names. These blocks are left
    out:

    - blocks without such a task, and second looks;
    - blocks with grids that have ranges, such as time constants, which hold for the steps of the study's tasks
      alone;
    - blocks that start from the best cells of a block that is left out.
    """
    likes: dict[str, str] = {}
    for name, task in tasks.items():
        if task.like is None or task.like not in study.tasks:
            near = suggest(task.like or "", study.tasks)
            raise InputError(f"task {name}: like names none of the study's tasks; {near}")
        likes[name] = task.like
    blocks: dict[str, StudyBlock] = {}
    for name, block in study.blocks.items():
        can_extend = block.purpose != "second_look" and all(
            not grid.ranges and grid.best_of in {None, *blocks} for grid in block.grids
        )
        extended_block = _extend_block(block, likes)
        if extended_block is not None and can_extend:
            # Without its reference block, runs start from the settings of the task.
            reference = block.reference if block.reference in blocks else None
            blocks[name] = extended_block.model_copy(update={"reference": reference})
    return study.model_copy(update={"tasks": dict(tasks), "blocks": blocks})


def _extend_block(block: StudyBlock, likes: Mapping[str, str]) -> StudyBlock | None:
    """Return the block on new tasks, each with the settings of the task it is like; None if it has no such task."""
    likes = {name: like for name, like in likes.items() if like in block.tasks}
    if not likes:
        return None
    grids = [extended for grid in block.grids if (extended := _extend_grid(grid, likes)) is not None]
    settings = block.settings
    if settings is not None:
        ranges = {name: settings.by_task[like] for name, like in likes.items() if like in settings.by_task}
        settings = settings.model_copy(update={"by_task": ranges})
    update = {"tasks": tuple(likes), "grids": tuple(grids), "settings": settings}
    return block.model_copy(update=update)


def _extend_grid(grid: CellGrid, likes: Mapping[str, str]) -> CellGrid | None:
    if grid.tasks is None:
        return grid
    tasks = tuple(name for name, like in likes.items() if like in grid.tasks)
    return grid.model_copy(update={"tasks": tasks}) if tasks else None


def full_scale(loaded: Loaded, names: Sequence[str] = ()) -> Loaded:
    """Return the study on its tasks of standard size, or on the named ones of them."""
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
    """Make a task for the extension of a study from the overrides of a run.

    Its base learning rate is that of the run; outcome and threshold are those of the task `like`.
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
    """Write the YAML of a study that runs another's blocks on a new task."""
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
    path = folder / "study" / f"{loaded.name}_{name}.yaml"
    if path.exists():
        raise InputError(f"{path}: exists; remove it, or name another --task")
    write_atomic(path, extension_text(loaded, name, task).encode())
    return path
