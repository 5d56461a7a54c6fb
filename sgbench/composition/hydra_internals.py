"""What sgbench takes from `hydra._internal`, and why: the file to look at when a new release of Hydra comes out.

`hydra_plugins/` has one such import more, with its reason: Hydra loads that folder into every application, so it
must not import sgbench.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.types import Override
from hydra.core.utils import configure_log, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

Result = TypeVar("Result")


def set_values(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Set values in a merged tree as Hydra does after merging.

    Private because Hydra's compose API merges all files again for every set of values, at 0.1 s each.
    """
    ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)


def points_of(overrides: Sequence[Override]) -> list[list[str]]:
    """List the words of every point that Hydra's basic sweeper makes of a command, in its order.

    Private because no public function tells the points of a sweep without launching them.

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
        config: the merged tree with its `hydra` node, which is used up.
        task: what to do; its exceptions come out as they are.
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
