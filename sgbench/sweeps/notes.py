"""What a command says before anything runs: what is there already, what has no effect, what no board will rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sgbench.composition.plan import RunPlan
from sgbench.composition.unused import INSTEAD
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.records.spec import SPIKING_CHOICES
from sgbench.training.claims import STALE_S
from sgbench.training.run_folder import finished_record, keeps_locks

ABOUT_SPIKES = (*SPIKING_CHOICES, *INSTEAD, "neuron@readout", "width_fwhm")
UNLIKE = 5.0
"""From what ratio of widths on a sweep over shapes is said to be one over widths too."""


def notes(planned: RunPlan, words: Sequence[str], widths: Mapping[str, float | None]) -> Iterator[str]:
    """Yield one line for each thing worth knowing before a command's runs.

    Args:
        planned: what will run.
        words: of the command line.
        widths: by surrogate, its full width at half maximum [threshold units], None where it has none.
    """
    if planned.is_open:
        yield "the sweeper chooses the points as it goes; a run's cost is its validation loss (or its error)"
        return
    finished = [record for spec in planned.specs if (record := finished_record(spec)) is not None]
    for root in sorted({spec.paths.runs_dir for spec in planned.specs}):
        if planned.is_sweep and not keeps_locks(Path(root)):
            yield (
                f"note: {root} keeps no locks (a shared file system?); exclusive files keep two sweeps there from "
                f"doing a point twice, and a point of a machine that died is free again after {STALE_S:.0f} s"
            )
    if planned.is_sweep:
        yield f"{len(planned.specs)} runs, {len(finished)} already finished"
    elif finished:
        yield f"already finished ({finished[0].provenance.created_utc}); repeat with force=true"
    yield from _without_effect(planned, words)
    yield from _unlike_widths(widths)
    yield from _deviations(planned)


def _unlike_widths(widths: Mapping[str, float | None]) -> Iterator[str]:
    """Warn about shapes of very different widths, whose comparison tells of widths."""
    bells = {name: width for name, width in widths.items() if width}
    if not bells:
        return
    narrow, wide = min(bells, key=bells.__getitem__), max(bells, key=bells.__getitem__)
    ratio = bells[wide] / bells[narrow]
    if ratio >= UNLIKE:
        yield (
            f"note: widths at half maximum differ {ratio:.0f}-fold, from {narrow} ({bells[narrow]:.2g} thresholds) "
            f"to {wide} ({bells[wide]:.2g}), so this compares widths as much as shapes; width_fwhm=1 gives all "
            f"the same"
        )


def _without_effect(planned: RunPlan, words: Sequence[str]) -> Iterator[str]:
    """Warn about words on spikes where the network has none: the method is recorded, and named, without them."""
    plain = next((spec for spec in planned.specs if spec.method.is_baseline), None)
    idle = [word for word in words if word.partition("=")[0].partition(".")[0] in ABOUT_SPIKES]
    if plain is not None and idle:
        yield f"note: {', '.join(idle)}: no effect with network={plain.method.label}, which has no spiking neurons"


def _deviations(planned: RunPlan) -> Iterator[str]:
    """Yield the first reason for which a point would not be ranked on its protocol's board."""
    name = planned.specs[0].method.protocol.name
    try:
        reference = References(planned.config_dirs).of(name)
    except InputError:
        return  # a protocol of one's own that was composed here and now
    others = (spec.method.choices["dataset"] for spec in planned.specs)
    foreign = next((other for other in others if other != reference.method.choices["dataset"]), None)
    if foreign is not None:
        yield (
            f"note: dataset={foreign} runs, and is recorded, under {name}, the protocol of another data set, "
            f"and is not ranked there; name one of its own: protocol.name={foreign.rpartition('/')[2].lower()}_v1"
        )
        return
    deviations = (
        line for spec in planned.specs for line in method_deviations(spec.method, spec.seed, reference)
    )
    first = next(deviations, None)
    if first is not None:
        yield f"note: {first}; such a run is not ranked on {name}, which is fine for trying things out"
