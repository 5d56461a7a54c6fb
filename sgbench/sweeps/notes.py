"""Writes notes before a command runs: finished runs, settings without effect, runs that no board will rank."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.composition.overrides import Overrides, seed_override
from sgbench.composition.plan import RunPlan
from sgbench.composition.tree import WITHOUT_SPIKES
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import SHOWN, ProtocolReference, References, experiment_of, setting_deviations
from sgbench.records.method import method_id
from sgbench.records.spec import SPIKING_CHOICES, Protocol, RunSpec
from sgbench.tables import ranges
from sgbench.training.provenance import driven_by
from sgbench.training.run_folder import STALE_S, finished_record, keeps_locks

ABOUT_SPIKES = (*SPIKING_CHOICES, *WITHOUT_SPIKES, "neuron@readout", "width_fwhm")
WIDTH_RATIO = 5.0
"""Ratio of surrogates' widths from which on a note says that a sweep compares widths as much as shapes."""


def notes_before_running(planned: RunPlan, overrides: Overrides, widths: Mapping[str, float | None]) -> Iterator[str]:
    """Yield lines on finished runs, settings without effect, unequal widths and missing ranks, before a plan runs.

    `overrides`: those of the command line; `widths`: maps surrogates to their full width at half maximum [threshold
    units], or to None.
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
    yield from _note_on_idle_settings(planned, overrides)
    yield from _note_on_widths(widths)
    yield from notes_on_rank(planned)


def _note_on_widths(widths: Mapping[str, float | None]) -> Iterator[str]:
    """Warn about shapes of very different widths, since comparing them compares widths rather than shapes."""
    known = {name: width for name, width in widths.items() if width}
    if not known:
        return
    narrowest, widest = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    least, most = known[narrowest], known[widest]
    if most / least >= WIDTH_RATIO:
        yield (
            f"note: widths at half maximum differ {most / least:.0f}-fold, from {narrowest} ({least:.2g} thresholds) "
            f"to {widest} ({most:.2g}), so this compares widths as much as shapes; width_fwhm=1 gives all the same"
        )


def _note_on_idle_settings(planned: RunPlan, overrides: Overrides) -> Iterator[str]:
    """Name the overrides of spiking neurons in a plan that has a network without any."""
    baseline = next((spec for spec in planned.specs if spec.method.is_baseline), None)
    idle = [text for text in overrides.texts if text.partition("=")[0].partition(".")[0] in ABOUT_SPIKES]
    if baseline is not None and idle:
        yield f"note: {', '.join(idle)}: no effect with network={baseline.method.label}, which has no spiking neurons"


def notes_on_rank(planned: RunPlan) -> Iterator[str]:
    """Yield for each protocol why runs of a plan would have no rank on its board, and overrides that give one."""
    trainer_words = next((words for spec in planned.specs if (words := driven_by(spec))), {})
    if trainer_words:
        yield f"note: {', '.join(trainer_words)}: no part of a method, so no board ranks such runs"
    by_protocol: dict[str, list[RunSpec]] = {}
    for spec in planned.specs:
        by_protocol.setdefault(spec.method.protocol.name, []).append(spec)
    references = References(planned.config_dirs)
    references_of: dict[str, ProtocolReference] = {}
    for name in by_protocol:
        with contextlib.suppress(InputError):  # a protocol that exists only in this command's overrides
            references_of[name] = references.of(name)
    seed_sets = {reference.protocol.seeds for reference in references_of.values()}
    for name, reference in references_of.items():
        specs = by_protocol[name]
        dataset = reference.method.choices["dataset"]
        other_sets = sorted({spec.method.choices["dataset"] for spec in specs} - {dataset})
        yield from (_note_on_data_set(other_set, name, planned) for other_set in other_sets)
        native = [spec for spec in specs if spec.method.choices["dataset"] == dataset]
        yield from _note_on_settings(native, reference)
        # A sweep runs all protocols with the same seeds, which cannot suit several sets.
        prefix = "" if len(seed_sets) == 1 else f"in a sweep of its own: {_override_for(name, planned)} "
        yield from _note_on_seeds(native, reference.protocol, prefix)


def _note_on_data_set(dataset: str, protocol: str, planned: RunPlan) -> str:
    """Say that a data set is not ranked under the protocol of another one, and name a protocol of its own."""
    entries = catalogue.entries("protocol", planned.config_dirs)
    own_protocols = [
        name
        for name, entry in entries.items()
        if (entry.parameters.get("fixed") or {}).get("dataset") == dataset
        and entry.parameters.get("superseded_by") is None
    ]
    stem = dataset.rpartition("/")[2].lower()
    own_protocols.sort(key=lambda name: not name.startswith(f"{stem}_v"))  # those named after the data set first
    ranked = _override_for(own_protocols[0], planned) if own_protocols else f"protocol.name={stem}_v1"
    return (
        f"note: dataset={dataset} runs, and is recorded, under {protocol}, the protocol of another data set, "
        f"and is not ranked there; name one of its own: {ranked}"
    )


def _override_for(protocol: str, planned: RunPlan) -> str:
    experiment = experiment_of(protocol, planned.config_dirs)
    return f"protocol={protocol}" if experiment is None else f"experiment={experiment}"


def _note_on_settings(specs: Sequence[RunSpec], reference: ProtocolReference) -> Iterator[str]:
    """Say in which settings methods deviate from their protocol, so that its board does not rank them."""
    methods = {method_id(spec.method): spec.method for spec in specs}
    deviations = list(
        dict.fromkeys(deviation for method in methods.values() for deviation in setting_deviations(method, reference))
    )
    if not deviations:
        return
    shown = deviations[:SHOWN]
    more = f"; and {len(deviations) - SHOWN} more" if len(deviations) > SHOWN else ""
    overrides = dict.fromkeys(deviation.override for deviation in shown if deviation.override is not None)
    remedy = f"; ranked with {' '.join(overrides)}" if overrides else ""
    yield (
        f"note: {'; '.join(deviation.text for deviation in shown)}{more}: not ranked on {reference.protocol.name}, "
        f"which is fine for trying things out{remedy}"
    )


def _note_on_seeds(specs: Sequence[RunSpec], protocol: Protocol, prefix: str) -> Iterator[str]:
    """Say which seeds the protocol's board does not rank, and write, after `prefix`, as many that it ranks."""
    unranked_seeds = [spec.seed for spec in specs if spec.seed not in protocol.seeds]
    if not unranked_seeds:
        return
    seeds_text = f"seed{'s' if len(set(unranked_seeds)) > 1 else ''} {ranges(unranked_seeds)}"
    part = "" if len(unranked_seeds) == len(specs) else f"{len(unranked_seeds)} of "
    runs_text = f"{part}its {len(specs)} runs have" if len(specs) > 1 else "this run has"
    lack = "no rank"
    if all(map(protocol.is_tuning_seed, unranked_seeds)):
        lack = "neither test score nor rank, since settings are chosen with such seeds"
    *partial_sets, all_seeds = protocol.complete_seeds  # sets of seeds that make a row of the board
    counts = ", ".join(f"the first {len(seeds)}" for seeds in partial_sets)
    row_seeds = f"{counts} or all" if counts else "all"
    ranked_seeds = seed_override(all_seeds[: len(set(unranked_seeds))])
    yield (
        f"note: {protocol.name} ranks seeds {ranges(protocol.seeds)}; {runs_text} {seeds_text}: {lack}; "
        f"write {prefix}{ranked_seeds} (a row has {row_seeds} {len(all_seeds)})"
    )
