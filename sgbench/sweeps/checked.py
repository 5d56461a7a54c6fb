"""A plan is built once before it runs, so that what is out of range stops before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.records.files import require_writable
from sgbench.records.method import method_id

if TYPE_CHECKING:
    from sgbench.composition.plan import RunPlan
    from sgbench.training.build import Parts


def built(planned: RunPlan) -> tuple[Parts | None, dict[str, float | None]]:
    """Build every method once, without data, and check that wandb answers and folders can be written.

    So what cannot run stops before anything is written. Weights & Biases is asked where a logger is online.

    Returns:
        The parts that a single run goes on with; None for a sweep, whose runs may be in other processes. And by
        surrogate the full width at half maximum in the first layer that has one [threshold units], or None.

    Raises:
        InputError: a value out of range, or Weights & Biases has no account or does not answer.
        StorageError: a folder of runs cannot be written.
    """
    from sgbench.networks.base import surrogates
    from sgbench.training.build import build

    parts = None
    widths: dict[str, float | None] = {}
    seen = set()  # seeds of a method share what is right or wrong of it
    for spec in planned.specs:
        name = method_id(spec.method)
        if name not in seen:
            parts = build(spec)
            seen.add(name)
            first = next(iter(surrogates(parts.network)), None)
            widths.setdefault(spec.method.choices["surrogate"], first.fwhm if first else None)
    if any(spec.loggers.get("wandb", {}).get("mode") == "online" for spec in planned.specs):
        from sgbench.training.loggers import require_account, require_server

        require_account()
        require_server()
    for folder in {spec.paths.runs_dir for spec in planned.specs}:
        require_writable(Path(folder))
    return (None if planned.is_sweep else parts), widths
