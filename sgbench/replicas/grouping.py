"""Grouping of a sweep's points that can be trained in one process, and reasons why others cannot."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.records.spec import RunSpec
from sgbench.replicas.batched_optimizer import KINDS, LACKING


@dataclass(frozen=True)
class PointGroup:
    """Holds the points of a sweep that one worker runs."""

    points: tuple[int, ...]  # indices in the sweep
    alone: str | None = None  # why this point cannot be a replica; None for replicas


def why_alone(spec: RunSpec) -> str | None:
    """Return why a point cannot be trained as a replica beside others, or None if it can."""
    settings, method = spec.trainer, spec.method
    reasons = {
        f"trainer.device={settings.device}: replicas run on cpu": settings.device != "cpu",
        f"trainer.threads={settings.threads}: a worker has one thread": settings.threads != 1,
        f"trainer.devices={settings.devices}: replicas share one process": settings.devices != 1,
        f"trainer={settings.driver}: Lightning trains one run at a time": settings.driver != "sgbench",
        "trainer.profile=true: times of a run that shares its process are not its own": settings.profile,
    }
    for reason, applies in reasons.items():
        if applies:
            return reason
    accumulated = method.protocol.accumulated_batches
    if accumulated is not None:
        return f"protocol.accumulated_batches={accumulated}: rows of a stack step at every batch"
    if method.protocol.precision == "bfloat16":
        return "protocol.precision=bfloat16: stacked layers compute in float32 and float64"
    target = spec.targets["optimizer"]
    if target not in KINDS:
        return f"optimizer {target} has no stacked form"
    unsupported = [name for name in LACKING if method.parameters["optimizer"].get(name)]
    return f"optimizer.{unsupported[0]}: has no stacked form" if unsupported else None


def batches_key(spec: RunSpec) -> tuple[object, ...]:
    """Return the settings that must be equal for two points to share batches, as a key of a dictionary."""
    method, protocol = spec.method, spec.method.protocol
    entries: list[tuple[object, ...]] = []
    for group in ("dataset", "encoder", "augmentation"):
        parameters = sorted((name, repr(value)) for name, value in method.parameters[group].items())
        entries.append((group, method.choices[group], tuple(parameters)))
    sizes = (protocol.steps, protocol.dt_s, protocol.batch_size, protocol.precision)
    seed_of_draw = spec.seed if protocol.draw == "per_seed" else None  # each seed trains on samples of its own
    return (*entries, sizes, protocol.first_samples, seed_of_draw, spec.paths.data_dir)


def groups(specs: Sequence[RunSpec], points: Sequence[int], workers: int) -> list[PointGroup]:
    """Split points into groups, and return them with the largest first.

    Points that share batches are sorted by seed and divided into parts of about equal size, one for each worker but
    no more than there are points. Points of one seed may come into two parts. A point that `why_alone` refuses is a
    group of its own.

    >>> groups([], [], workers=2)
    []
    """
    alone = []
    by_batches: dict[tuple[object, ...], list[int]] = {}
    for point in points:
        reason = why_alone(specs[point])
        if reason is None:
            by_batches.setdefault(batches_key(specs[point]), []).append(point)
        else:
            alone.append(PointGroup((point,), reason))
    groups_of_replicas = []
    for members in by_batches.values():
        members.sort(key=lambda point: (specs[point].seed, point))
        count = min(workers, len(members))
        borders = [round(len(members) * part / count) for part in range(count + 1)]
        parts = [members[low:high] for low, high in itertools.pairwise(borders)]
        groups_of_replicas += [PointGroup(tuple(part)) for part in parts if part]
    return sorted(groups_of_replicas + alone, key=lambda group: -len(group.points))
