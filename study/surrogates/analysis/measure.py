"""What `python -m study measure surrogates` runs: how networks start, or every cell of the map before training."""

from collections.abc import Iterator

from sgbench.study_runner.definition import Loaded
from sgbench.study_runner.run import StudyFolders


def measure_study(loaded: Loaded, folders: StudyFolders, *, gradients: bool) -> Iterator[str]:
    """Measure the tasks' networks before training and store what is found; yield a line for each task.

    `folders`: of its store and data; `gradients`: whether gradients and potentials of every cell of the map are
    measured, for the report, in place of the spikes of each task's network, for recommendations.
    """
    if gradients:
        from study.surrogates.analysis.initial_gradients import measure_gradients

        for task, cells in measure_gradients(loaded, folders):
            yield f"{task}: {cells} cells"
        return
    from study.surrogates.analysis.starting import measure

    for task, spikes in measure(loaded, folders):
        sent = "not spikes" if spikes is None else ", ".join(f"{number:.3g}" for number in spikes)
        yield f"{task}: a neuron sends, by hidden layer, {sent}"
