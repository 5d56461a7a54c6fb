"""What sgbench takes from `hydra._internal`, and why: the file to look at when a new release of Hydra comes out.

`hydra_plugins/` has one such import more, with its reason: Hydra loads that folder into every application, so it
must not import sgbench.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import configure_log, run_job, setup_globals
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from sgbench.composition.foreign import check_foreign
from sgbench.composition.hydra_node import check_hydra_node
from sgbench.composition.words import with_left_out
from sgbench.paths import conf_dir

Result = TypeVar("Result")
CONFIG, VERSION = "config", "1.3"
"""The file that everything begins at, and Hydra's version whose conventions hold."""


class CheckedLoader(ConfigLoaderImpl):
    """Merges files as Hydra does, and refuses a tree that acts by itself before anything is done with it.

    Private because Hydra merges the files again for each job of a sweep, in whichever process that runs.
    """

    def load_configuration(self, config_name: str | None, overrides: list[str], **settings: Any) -> Any:
        """Merge files and overrides, and check what they set.

        Keys that a protocol's file may leave out are marked by `++`, by which Hydra adds them. The overrides that
        the tree lists are without this mark.

        Raises:
            InputError: a file of somebody else, or an override, sets what it may not.
        """
        marked = with_left_out(overrides)
        config = super().load_configuration(config_name, overrides=marked, **settings)
        config.hydra.overrides.task = [
            _without_prefix(text, overrides) for text in config.hydra.overrides.task
        ]
        parsed = OverridesParser.create().parse_overrides(overrides)
        check_foreign(config, parsed, merge_ours)
        check_hydra_node(config.hydra, parsed)
        return config


def _without_prefix(text: str, overrides: Sequence[str]) -> str:
    """Return an override as it was typed, without the `++` of `with_left_out`."""
    return text if text in overrides else text.removeprefix("++")


@functools.cache
def merge_ours(overrides: tuple[str, ...]) -> DictConfig:
    """Merge overrides with the files of sgbench and its installed plugins alone, in 0.2 s; cached."""
    return ConfigLoaderImpl(create_config_search_path(str(conf_dir()))).load_configuration(
        CONFIG, list(overrides), RunMode.RUN
    )


def checked_loader() -> CheckedLoader:
    """Make the loader of everything that is composed here."""
    version.setbase(VERSION)
    setup_globals()
    return CheckedLoader(create_config_search_path(str(conf_dir())))


def merge(overrides: Iterable[str], folders: Sequence[Path]) -> DictConfig:
    """Merge the catalogue, folders of others, and overrides into Hydra's tree with its `hydra` node.

    Private because Hydra's compose API makes a loader of its own, which takes what any file says.

    Raises:
        InputError: see `CheckedLoader`.
        HydraException: overrides or files that Hydra cannot merge.
    """
    found = (
        ["hydra.searchpath=[" + ",".join(f"file://{folder}" for folder in folders) + "]"] if folders else []
    )
    return checked_loader().load_configuration(
        CONFIG, [*overrides, *found], run_mode=RunMode.RUN, from_shell=False
    )


def launch(overrides: Sequence[str], task: Callable[[Any], object]) -> None:
    """Launch the points of a multirun as `hydra.main` would; exceptions come out as they are.

    Private because `hydra.main` makes a loader of its own, and prints tracebacks.

    Args:
        overrides: those of the sweep, lists of values included.
        task: is called with the tree of each point, in whichever process the launcher chooses.
    """
    hydra = Hydra(task_name="run", config_loader=checked_loader())
    hydra.multirun(CONFIG, task, [*overrides, "hydra.mode=MULTIRUN"])


def set_values(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Set values in a merged tree as Hydra does after merging.

    Private because Hydra's compose API merges all files again for every set of values, at 0.1 s each.
    """
    ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)


def points_of(overrides: Sequence[Override]) -> list[list[str]]:
    """List the overrides of every point that Hydra's basic sweeper makes of a command, in its order.

    Private because no public function lists the points of a sweep without launching them.

    Raises:
        HydraException: the sweep is of a kind that the basic sweeper does not know.
    """
    (points,) = BasicSweeper.split_arguments(list(overrides), None)
    return points


def run_as_job(config: DictConfig, task: Callable[[], Result]) -> Result:
    """Call a task as `hydra.main` would: in the folder, with the logging and environment that the tree asks for.

    Hydra's `run_job` is public, but the context that it wants is private, because Hydra makes it in `hydra.main`
    alone, which reads `sys.argv` and merges all files anew.

    Args:
        config: the merged tree with its `hydra` node; it is modified, so do not use it again.
        task: what to do; its exceptions are raised unchanged.
    """

    def job(_: DictConfig) -> tuple[list[Result], list[Exception]]:
        try:
            return [task()], []
        except Exception as error:
            return [], [error]  # run_job would print its own lines about it

    config.hydra.mode = RunMode.RUN
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    # Without callbacks, which are refused, and with a loader that is not asked for anything.
    context = HydraContext(
        config_loader=ConfigLoaderImpl(create_config_search_path(None)), callbacks=Callbacks()
    )
    done = run_job(
        task_function=job,
        config=config,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
        hydra_context=context,
    )
    results, errors = done.return_value
    for error in errors:
        raise error
    return results[0]
