"""What `sgbench tune` has left in a folder of runs: which study asked for a setting, and what was stopped early."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sgbench.errors import InputError
from sgbench.paths import RECORD
from sgbench.records.files import read_model
from sgbench.records.method import canonical, identity
from sgbench.records.spec import Method
from sgbench.records.tuning import PRUNED, Asked, Pruned, read_journals
from sgbench.submissions.tuning import StoppedTrial, changes, id_of


def searched(folder: Path, chosen: Method) -> tuple[dict[str, int], list[StoppedTrial]]:
    """Collect which study asked for each setting, and the runs that were stopped early.

    Only settings that differ from the method handed in by searched numbers alone are its tuning; what a journal
    says counts where it gives the id of the setting.
    """
    ours = identity(chosen)
    studies: dict[str, int] = {}
    stopped: list[StoppedTrial] = []
    for asked in (asked for journal in read_journals(folder) for asked in journal.asked):
        settings = changes(ours, {**ours, **{key: canonical(value) for key, value in asked.setting.items()}})
        if asked.method_id not in studies and id_of(ours, settings) == asked.method_id:
            studies[asked.method_id] = asked.study
            stopped += [StoppedTrial(settings, pruned) for pruned in _pruned(folder, asked, chosen)]
    return studies, stopped


def _pruned(folder: Path, asked: Asked, chosen: Method) -> Iterator[Pruned]:
    """Yield the runs of a setting that were stopped early and never run to their end."""
    for seed in chosen.protocol.trial_seeds:
        place = folder / asked.method_id / str(seed)
        with contextlib.suppress(InputError):
            pruned = read_model(place / PRUNED, Pruned)
            if not (place / RECORD).exists() and (pruned.method_id, pruned.seed) == (asked.method_id, seed):
                yield pruned
