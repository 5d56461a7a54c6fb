"""Grouping of a sweep's points that can be trained in one process, reasons why others cannot, and their memory."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.networks.base import Network
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


SHARE = 0.7  # share of a worker's memory that is used for replicas; the rest is for what is not estimated
COPIES = 11
"""Copies of all weights: themselves, gradients, two states of the optimiser, three in the last epoch's snapshot,
three while a checkpoint is written, the best ones."""
FIXED_BYTES = 400 << 20  # memory of one process for libraries, data set and batches


def need_bytes(spec: RunSpec, network: Network) -> int:
    r"""Estimate the memory of one replica [bytes]: copies of its weights, and one batch over time.

    .. math:: 11 P + T B \sum_l M_l

    numbers, with P weights, M_l neurons in layer l, T steps and B samples of a batch.
    """
    protocol = spec.method.protocol
    weights = list(network.parameters())
    count = sum(weight.numel() for weight in weights)
    neurons = sum(int(layer.weight.shape[0]) for layer in network.layers)  # type: ignore[union-attr, index]
    return (COPIES * count + protocol.steps * protocol.batch_size * neurons) * weights[0].element_size()


def count_fitting(need: int, memory_bytes: int | None) -> int | None:
    """Return how many replicas of `need` bytes fit into a process's memory, at least 1; None if that is unknown.

    >>> count_fitting(1 << 20, (400 + 100) << 20), count_fitting(1 << 40, 1 << 30), count_fitting(1, None)
    (70, 1, None)
    """
    if memory_bytes is None:
        return None
    return max(1, int(SHARE * max(0, memory_bytes - FIXED_BYTES) / need))


def memory_for(need: int, count: int) -> int:
    """Return the memory of a process in which `count` replicas of `need` bytes fit [bytes].

    >>> count_fitting(1 << 20, memory_for(1 << 20, 70))
    70
    """
    return FIXED_BYTES + math.ceil(need * count / SHARE)
