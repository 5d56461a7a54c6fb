"""Builds each method of a plan before it runs, so that wrong values stop it before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sgbench.records.files import require_writable
from sgbench.records.method import method_id

if TYPE_CHECKING:
    from sgbench.composition.plan import RunPlan
    from sgbench.training.build import Parts


def build_and_check(planned: RunPlan) -> tuple[Parts | None, dict[str, float | None]]:
    """Build every method once, without data; check that folders can be written and that an online W&B answers.

    Returns the network and other objects of a single run, which it can use; None for a sweep. And each surrogate's full
    width at half maximum [threshold units] in the first layer that has surrogates; None for one without one.
    """
    from sgbench.networks.base import surrogates
    from sgbench.training.build import build

    parts = None
    widths: dict[str, float | None] = {}
    seen = set()  # seeds of one method need one check
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
