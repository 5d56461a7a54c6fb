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
    settings = spec.trainer
    reasons = {
        f"trainer.device={settings.device}: replicas run on cpu": settings.device != "cpu",
        f"trainer.threads={settings.threads}: a worker has one thread": settings.threads != 1,
        f"trainer.devices={settings.devices}: replicas share one process": settings.devices != 1,
        f"trainer={settings.driver}: Lightning trains one run at a time": settings.driver != "sgbench",
        "trainer.profile=true: times of a run that shares its process are not its own": settings.profile,
    }
    found = next((reason for reason, applies in reasons.items() if applies), None)
    if found is not None:
        return found
    accumulated = spec.method.protocol.accumulated_batches
    if accumulated is not None:
        return f"protocol.accumulated_batches={accumulated}: rows of a stack step at every batch"
    if spec.method.protocol.precision == "bfloat16":
        return "protocol.precision=bfloat16: stacked layers compute in float32 and float64"
    target = spec.targets["optimizer"]
    if target not in KINDS:
        return f"optimizer {target} has no stacked form"
    used = [name for name in LACKING if spec.method.parameters["optimizer"].get(name)]
    return f"optimizer.{used[0]}: has no stacked form" if used else None


def batches_key(spec: RunSpec) -> tuple[object, ...]:
    """Return the settings that must be equal for two points to share batches."""
    method = spec.method
    parts = [
        (
            group,
            method.choices[group],
            tuple(sorted((name, repr(value)) for name, value in method.parameters[group].items())),
        )
        for group in ("dataset", "encoder", "augmentation")
    ]
    protocol = method.protocol
    sizes = (protocol.steps, protocol.dt_s, protocol.batch_size, protocol.precision)
    own = spec.seed if protocol.draw == "per_seed" else None
    return (*parts, sizes, protocol.first_samples, own, spec.paths.data_dir)


def groups(specs: Sequence[RunSpec], points: Sequence[int], workers: int) -> list[PointGroup]:
    """Split points into groups, and return them with the largest first.

    Points that share batches are sorted by seed and cut into parts of about equal size, as many as workers but at
    most as many as points. A seed on a cut is divided. A point that `why_alone` refuses is a group of its own.

    >>> groups([], [], workers=2)
    []
    """
    alone = [PointGroup((point,), reason) for point in points if (reason := why_alone(specs[point])) is not None]
    apart = {point for group in alone for point in group.points}
    by_batches: dict[tuple[object, ...], list[int]] = {}
    for point in points:
        if point not in apart:
            by_batches.setdefault(batches_key(specs[point]), []).append(point)
    groups_of_points = []
    for members in by_batches.values():
        members.sort(key=lambda point: (specs[point].seed, point))
        count = min(workers, len(members))
        borders = [round(len(members) * part / count) for part in range(count + 1)]
        groups_of_points += [
            PointGroup(tuple(members[low:high])) for low, high in itertools.pairwise(borders) if high > low
        ]
    return sorted(groups_of_points + alone, key=lambda group: -len(group.points))
