"""Answers to modules by the names that they had before they moved, for one release."""

import sys
from importlib.machinery import ModuleSpec

MOVED = {
    "sgbench.custom": "sgbench.yours.custom",
    "sgbench.datasets.gammatone": "sgbench.datasets.spoken",
    "sgbench.datasets.inner_ear": "sgbench.datasets.spoken_twin",
    "sgbench.dropouts.mask": "sgbench.dropouts.base",
    "sgbench.engine": "fastspiking",
    "sgbench.engine.alongside": "fastspiking.generated_forward",
    "sgbench.engine.density": "fastspiking.matmul",
    "sgbench.engine.layout": "fastspiking.plan",
    "sgbench.engine.torch_steps": "fastspiking.scan",
    "sgbench.exchange.time_constants": "sgbench.exchange.nir_export",
    "sgbench.firing.chance": "sgbench.firing.base",
    "sgbench.inspection": "",
    "sgbench.inspection.chip_run": "sgbench.exchange.chip_run",
    "sgbench.inspection.data_summary": "sgbench.datasets.checks",
    "sgbench.inspection.diagnosed": "sgbench.training.diagnose",
    "sgbench.inspection.diagnosis_text": "sgbench.diagnosis.text",
    "sgbench.inspection.entry_check": "sgbench.yours.entry_check",
    "sgbench.inspection.neuron_picture": "sgbench.plots.entries.neuron",
    "sgbench.inspection.portrait": "sgbench.training.entries",
    "sgbench.inspection.robustness": "sgbench.training.robustness",
    "sgbench.inspection.run_picture": "sgbench.training.stored_run",
    "sgbench.inspection.sample_picture": "sgbench.plots.entries.samples",
    "sgbench.inspection.stored_run": "sgbench.training.stored_run",
    "sgbench.inspection.surrogate_comparison": "sgbench.plots.entries.surrogate",
    "sgbench.inspection.surrogate_curves": "sgbench.plots.entries.surrogate_curves",
    "sgbench.inspection.surrogate_facts": "sgbench.plots.entries.surrogate_curves",
    "sgbench.inspection.surrogate_picture": "sgbench.plots.entries.surrogate",
    "sgbench.leaderboard.registry": "sgbench.leaderboard.contents",
    "sgbench.leaderboard.releases.all_rows": "sgbench.leaderboard.releases.make",
    "sgbench.metrics.evaluation": "sgbench.training.evaluation",
    "sgbench.metrics.spiking": "sgbench.metrics",
    "sgbench.neurons.takeoff": "sgbench.neurons.base",
    "sgbench.normalisations.normaliser": "sgbench.normalisations.base",
    "sgbench.notebook": "",
    "sgbench.notebook.browse": "sgbench.training.entries",
    "sgbench.notebook.records": "sgbench.leaderboard.api",
    "sgbench.notebook.sweep": "sgbench.sweeps.api",
    "sgbench.notebook.table": "sgbench.sweeps.api",
    "sgbench.records.formula": "fastspiking.formula",
    "sgbench.reproduction.ablation_page": "sgbench.reproduction.page",
    "sgbench.reproduction.time_left": "sgbench.reproduction.runs",
    "sgbench.signals": "fastspiking.signals",
    "sgbench.signals.spike_trains": "fastspiking.signals.spikes",
    "sgbench.study": "sgbench.study_runner",
    "sgbench.study_runner.registration": "sgbench.study_runner.scores",
    "sgbench.submissions.external": "sgbench.submissions.make",
    "sgbench.submissions.verify.outcome": "sgbench.submissions.verify.verdict",
    "sgbench.surrogates.drawn": "fastspiking.signals.streams",
    "sgbench.surrogates.undefined": "sgbench.surrogates.base",
    "sgbench.yours.division": "sgbench.yours.samples",
}
"""Maps former names of modules, and of packages with all that is in them, to those of today.

A package whose modules went to several others maps to "", and is empty.
"""


class MovedModules:
    """Imports a module that moved under its former name: the same object, with a DeprecationWarning."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        """Return a spec for a former name; None leaves all others to Python."""
        now = today(name)  # empty for a former package, whose modules may still be found
        return None if now is None else ModuleSpec(name, self, is_package=not now)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make an empty module, which `exec_module` replaces."""

    def exec_module(self, module: object) -> None:
        """Put the module of today in the place of the one that Python has made."""
        import importlib
        import warnings

        former: str = module.__name__  # type: ignore[attr-defined]
        name = today(former)
        if name:
            warnings.warn(f"{former} is now {name}; its former name goes", DeprecationWarning, stacklevel=2)
            sys.modules[former] = importlib.import_module(name)


def today(name: str) -> str | None:
    """Return where a module is now, "" for a package that was divided; None if it did not move.

    >>> today("sgbench.engine.kernels.forward"), today("sgbench.signals"), today("sgbench.records")
    ('fastspiking.kernels.forward', 'fastspiking.signals', None)
    """
    former = name  # the module, then each package that it is in
    while former.startswith("sgbench."):
        now = MOVED.get(former)
        if former == name and now is not None:
            return now
        if now:
            return now + name.removeprefix(former)
        former = former.rpartition(".")[0]
    return None


def answer_to_former_names() -> None:
    """Install the importer of moved modules, once."""
    if not any(isinstance(finder, MovedModules) for finder in sys.meta_path):
        sys.meta_path.insert(0, MovedModules())  # type: ignore[arg-type]
