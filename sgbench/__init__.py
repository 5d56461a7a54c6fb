"""sgbench: which surrogate gradient, neuron and learning rule, for which task, at what cost.

`create` and `run` import torch when they are called; importing `sgbench` does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sgbench.custom import CustomSurrogate
    from sgbench.records.diagnosis import Diagnosis
    from sgbench.records.record import RunRecord

__version__ = "0.1.0"
__all__ = ["CustomSurrogate", "__version__", "create", "diagnose", "diagnose_module", "plot", "run"]


def __getattr__(name: str) -> Any:
    """`CustomSurrogate` on demand: its base is torch's."""
    if name == "CustomSurrogate":
        from sgbench.custom import CustomSurrogate

        return CustomSurrogate
    raise AttributeError(f"module 'sgbench' has no attribute '{name}'")


def create(
    name: str, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = (), **parameters: Any
) -> Any:
    """Make one object of the catalogue, with the defaults of its YAML file.

    Args:
        name: "GROUP/ENTRY", e.g. "surrogate/atan" or "neuron/leaky".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        parameters: values in place of defaults; objects (a neuron's `surrogate`) are passed on.

    Raises:
        InputError: an unknown name, or a value out of range.

    >>> surrogate = create("surrogate/atan", alpha=2.0)
    >>> neuron = create("neuron/leaky", beta=0.9, surrogate=surrogate)
    >>> neuron.beta()
    0.9
    """
    from sgbench.training.creation import create as create_entry

    return create_entry(name, config_dirs=config_dirs, allow_targets=allow_targets, **parameters)


def run(*overrides: str, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> RunRecord:
    """Run one point of the space and return its record; see `sgbench.training.runner.run`.

    Args:
        overrides: words as on the command line, e.g. "experiment=digits", "surrogate=atan", "seed=3".
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
    """
    from sgbench.training.runner import run as run_words

    return run_words(*overrides, config_dirs=config_dirs, allow_targets=allow_targets)


def diagnose(
    *words: str,
    weights: str = "initial",
    panels: Sequence[str] = ("agreement", "flow", "activity"),
    batches: int = 4,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
) -> Diagnosis:
    """Diagnose why a network does or does not learn, before its training or after it.

    Args:
        words: the folder of a run, or words as on the command line, e.g. "experiment=digits", "surrogate=triangle".
        weights: "initial" or, of a finished run, "selected".
        panels: "agreement" of the gradient with references, its "flow" through layers and steps, "activity".
        batches: of the validation split, at most.
        config_dirs: folders with entries of your own.
        allow_targets: exact names of classes outside the catalogue that may be imported.

    Raises:
        InputError: words that do not compose, or a record, weights or data that are gone.
        NonFiniteError: weights are NaN or infinite.
    """
    from sgbench.inspection.diagnosed import diagnose as diagnose_run

    options = {"weights": weights, "panels": panels, "batches": batches}
    return diagnose_run(*words, **options, config_dirs=config_dirs, allow_targets=allow_targets)  # type: ignore[arg-type]


def diagnose_module(net: nn.Module, batch: Any, loss: Callable[[nn.Module, Any], Tensor]) -> Diagnosis:
    """Diagnose a torch network of your own that is made of snnTorch's spiking layers, or of ours.

    Args:
        net: keeps its spiking layers as modules; a copy of it runs, so that nothing of it changes.
        batch: what `loss` takes, or a list of such batches, of which the gradient's signal-to-noise is told.
        loss: runs `net` over all steps of a batch and returns the mean loss.

    Raises:
        InputError: no spiking layer is found or called, or one does not show its potential.
        NonFiniteError: weights are NaN or infinite.

    >>> import snntorch as snn
    >>> import torch
    >>> from torch import nn
    >>> _ = torch.manual_seed(0)
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense, self.spiking = nn.Linear(4, 3), snn.Leaky(beta=0.9)
    ...     def forward(self, x):
    ...         membrane, total = self.spiking.reset_mem(), 0.0
    ...         for now in x:
    ...             spikes, membrane = self.spiking(self.dense(now), membrane)
    ...             total = total + membrane
    ...         return total
    >>> found = diagnose_module(Net(), torch.ones(5, 2, 4), lambda net, x: net(x).square().mean())
    >>> found.layers[0].name, found.layers[0].nonzero_points
    ('spiking', 1.0)
    """
    from sgbench.diagnosis.modules import diagnose_module as diagnose_own

    return diagnose_own(net, batch, loss)


def plot(run: RunRecord | Path | str, path: Path | str, *, samples: int = 1) -> None:
    """Draw a run: learning curves and rates from its record, spikes and potentials of replayed validation samples.

    Args:
        run: its folder, or its record, whose folder is then looked for where runs are written by default.
        path: of the picture, ending in .png, .svg or .pdf.
        samples: that are replayed with the selected weights; 0 needs neither weights nor data.

    Raises:
        InputError: the record cannot be read, or weights or data are gone.
    """
    from sgbench.inspection.run_picture import draw_run
    from sgbench.paths import default_runs_dir, run_dir

    if isinstance(run, Path | str):
        folder = Path(run)
    else:
        folder = run_dir(default_runs_dir(), run.protocol, run.method_id, run.seed)
    draw_run(folder, Path(path), samples=samples)
