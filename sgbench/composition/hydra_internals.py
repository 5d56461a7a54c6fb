"""Uses private parts of Hydra (`hydra._internal`), each with its reason; to be checked for each release of Hydra.

`hydra_plugins/` has one such import more, with its reason: Hydra loads that folder into every application, so it
must not import sgbench.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hydra import version
from hydra._internal.callbacks import Callbacks  # calls those that a user allows, also around a single run
from hydra._internal.config_loader_impl import ConfigLoaderImpl  # the compose API makes one that checks no files
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # no public function lists a sweep's points
from hydra._internal.hydra import Hydra  # hydra.main prints tracebacks, and takes no loader
from hydra._internal.utils import create_config_search_path  # a loader needs one, and the public class is abstract
from hydra.core.utils import configure_log, run_job, setup_globals
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from sgbench.composition.catalogue import require_bounded_files
from sgbench.composition.foreign import check_foreign
from sgbench.composition.hydra_node import check_hydra_node
from sgbench.composition.overrides import Overrides
from sgbench.paths import conf_dir

Result = TypeVar("Result")
CONFIG, VERSION = "config", "1.3"
"""Name of the root file in `conf/`, and the version of Hydra whose defaults are used."""


class _CheckedLoader(ConfigLoaderImpl):
    """Merges files as Hydra does, and raises an error if the tree would make Hydra run code of other people.

    A private class of Hydra is extended, because Hydra merges the files again in each process of a sweep.
    """

    def load_configuration(self, config_name: str | None, overrides: list[str], **settings: Any) -> Any:
        """Merge and check what Hydra itself asks for: the points of a sweep, in the process that runs them."""
        return self.load_checked(Overrides.of(overrides), config_name, **settings)

    def load_checked(self, overrides: Overrides, config_name: str | None = CONFIG, **settings: Any) -> Any:
        """Merge files and overrides, and check what they set; `settings` are those of Hydra's loader.

        The tree lists the overrides as they were typed.
        """
        config = super().load_configuration(config_name, overrides=overrides.marked.texts, **settings)
        typed = overrides.texts
        config.hydra.overrides.task = [
            text if text in typed else text.removeprefix("++") for text in config.hydra.overrides.task
        ]
        check_hydra_node(config.hydra, overrides)
        check_foreign(config, overrides, merge_ours)
        return config


@functools.cache
def merge_ours(overrides: tuple[str, ...]) -> DictConfig:
    """Merge overrides with the files of sgbench and of installed plugins alone; cached by the overrides."""
    return ConfigLoaderImpl(create_config_search_path(str(conf_dir()))).load_configuration(
        CONFIG, list(overrides), RunMode.RUN
    )


def checked_loader() -> _CheckedLoader:
    """Set Hydra up as `hydra.main` does, and return a loader that checks what it merges."""
    version.setbase(VERSION)
    setup_globals()
    return _CheckedLoader(create_config_search_path(str(conf_dir())))


def merge(overrides: Overrides, folders: Sequence[Path]) -> DictConfig:
    """Merge the catalogue, folders of others, and overrides into Hydra's tree with its `hydra` node.

    Hydra's public compose API is not used, because it makes a loader of its own that does not check the files.
    """
    require_bounded_files(folders)
    searched = ",".join(f"file://{folder}" for folder in folders)
    search_path = [f"hydra.searchpath=[{searched}]"] if folders else []
    return checked_loader().load_checked(overrides.plus(search_path), run_mode=RunMode.RUN, from_shell=False)


def launch(overrides: Sequence[str], task: Callable[[Any], object]) -> None:
    """Launch the points of a multirun as `hydra.main` would; exceptions are raised unchanged.

    `hydra.main` is not used, because it makes a loader of its own and prints tracebacks.

    `overrides`: those of the sweep, lists of values included; `task`: called with the merged tree of each point, in the
    process that the launcher chooses.
    """
    hydra = Hydra(task_name="run", config_loader=checked_loader())
    hydra.multirun(CONFIG, task, [*overrides, "hydra.mode=MULTIRUN"])


def set_values(config: DictConfig, overrides: Overrides) -> None:
    """Set values in a merged tree, in place, as Hydra does after merging.

    Hydra's public compose API would merge all files again for every set of values.
    """
    ConfigLoaderImpl._apply_overrides_to_config([*overrides.parsed], config)


def points_of(overrides: Overrides) -> list[list[str]]:
    """List the overrides of each point of a sweep, in the order of Hydra's basic sweeper.

    No public function of Hydra lists the points of a sweep without launching them.
    """
    (points,) = BasicSweeper.split_arguments([*overrides.parsed], None)
    return points


def run_as_job(config: DictConfig, task: Callable[[], Result]) -> Result:
    """Call a task as `hydra.main` would, with the folder, logging and environment of a tree; return its result.

    Hydra's `run_job` is public, but needs a context that only `hydra.main` makes, which reads `sys.argv` and merges
    all files anew.

    `config`: the merged tree with its `hydra` node; it is modified, so do not use it again. `task`: function without
    arguments; its exceptions are raised unchanged.
    """

    def job(_: DictConfig) -> tuple[list[Result], list[Exception]]:
        try:
            return [task()], []
        except Exception as error:
            return [], [error]  # an error that is raised here would be printed by run_job in its own words

    config.hydra.mode = RunMode.RUN
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    # The loader is required but never called.
    callbacks = Callbacks(config)
    context = HydraContext(config_loader=ConfigLoaderImpl(create_config_search_path(None)), callbacks=callbacks)
    callbacks.on_run_start(config=config, config_name=CONFIG)
    job_return = run_job(
        task_function=job, config=config, job_dir_key="hydra.run.dir", job_subdir_key=None, hydra_context=context
    )
    callbacks.on_run_end(config=config, config_name=CONFIG, job_return=job_return)
    results, errors = job_return.return_value
    for error in errors:
        raise error
    return results[0]
