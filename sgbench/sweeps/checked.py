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
    """Build every method once, without data, so that a value out of range stops before anything is written.

    Returns:
        The parts of a single run, which it is made of; None of a sweep, which may run in other processes. And by
        surrogate the first width of a hidden layer's [threshold units], None where it has none.
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
