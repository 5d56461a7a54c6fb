"""Whole trainings on several engines side by side: each is compared with the reference after every batch.

Each training is moved by its own optimiser, as the product builds it: torch's fused Adam does not move a tensor's
`_version`, and neither do replicas, whose parameters are rows of a matrix. After each comparison the weights are
made equal in their memory, which moves no version either: two ways of rounding part exponentially otherwise.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.signals.trajectory import Batch
from sgbench.errors import NonFiniteError
from sgbench.records.spec import RunSpec
from sgbench.replicas.group_worker import SharedBatches
from sgbench.replicas.lockstep import Lockstep
from sgbench.replicas.replica import Replica
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from sgbench.training.provenance import Code
from sgbench.training.train_step import check_optimizer

TOLERANCE = 1e-7
"""Of losses, logits and scores, relative to the largest of its kind, in float64."""
MOVE_TOLERANCE = 1e-4
"""Of a weight, relative to the largest move: Adam divides each gradient by its own size, roundings too."""
SMALL = 1e-6
"""Sizes below count as this one."""
BATCHES = 3
"""Of each pass over a split."""


class Moment(NamedTuple):
    """Holds what there is to compare at one moment of a training."""

    where: str
    weights: dict[str, Tensor]
    found: dict[str, Tensor]
    network: nn.Module


Course = Iterator[tuple[Moment, ...]]
"""Of one training or of several in step: a moment of each after every batch and every pass."""


def alone(spec: RunSpec) -> Course:
    """Train one run batch by batch, as Lightning drives it, and score its best weights."""
    parts = build(spec)
    parts.data.setup()
    training = Training(parts, spec.method, spec.seed, made_by={})
    yield (_moment("at first", training),)
    for epoch in range(spec.method.protocol.epochs):
        training.begin_epoch(epoch)
        for place, batch in enumerate(_first(parts.data.epoch(epoch))):
            training.set_learning_rate(parts.optimizer)
            training.record_loss(batch, training.loop.train_batch(batch, parts.optimizer))
            yield (_moment(f"epoch {epoch}, batch {place}", training),)
        check_optimizer(parts.optimizer)
        yield (_validate(training, parts.data.evaluation("validation")),)
    with parts.data.last_step():
        yield (_tested(training, parts.data.evaluation("test")),)


def side_by_side(specs: Sequence[RunSpec]) -> Course:
    members: list[Replica] = []
    for place, spec in enumerate(specs):
        members.append(Replica(place, spec, members[0].parts.data if members else None, Code(None, None, {}, "")))
    lockstep, shared = Lockstep(members), SharedBatches(members)
    yield tuple(_moment("at first", one.training) for one in members)
    for epoch in range(specs[0].method.protocol.epochs):
        for member in members:
            member.training.begin_epoch(epoch)
        for place, batches in enumerate(_first(shared.epoch(members))):
            _raise(lockstep.train_batch([batches[one.spec.seed, epoch] for one in members]))
            yield tuple(_moment(f"epoch {epoch}, batch {place}", one.training) for one in members)
        _raise(lockstep.check_optimizer())
        yield tuple(_validate(one.training, shared.evaluation(one.parts.data, "validation")) for one in members)
    moments = []
    for one in members:
        with one.parts.data.last_step():
            moments.append(_tested(one.training, shared.evaluation(one.parts.data, "test")))
    yield tuple(moments)


def compare(references: Sequence[Course], other: Course) -> str | None:
    """Say where runs first differ from those of the reference, or return None where they never do."""
    last: Sequence[Moment] | None = None
    together = (tuple(itertools.chain(*moments)) for moments in zip(*references, strict=True))
    for expected, found in zip(_finite(together), _finite(other), strict=True):
        if expected is None or found is None:
            return None if expected is found else f"{_where(expected, found)}: not finite on one of the two"
        for run, (theirs, ours) in enumerate(zip(expected, found, strict=True)):
            difference = _difference(ours, theirs, None if last is None else last[run])
            if difference is not None:
                return f"run {run}, {theirs.where}: {difference}"
            _make_equal(ours.network, theirs.network)
        last = expected
    return None


# --- a moment


def _first(batches: Iterable[Any]) -> Iterator[Any]:
    return itertools.islice(batches, BATCHES)


def _moment(where: str, training: Training, found: dict[str, Tensor] | None = None) -> Moment:
    """Note weights and the loss of the last batch, and what else was found."""
    weights = {name: weight.detach().clone() for name, weight in training.network.named_parameters()}
    loss = {"training loss": training.losses[-1]} if training.losses else {}
    return Moment(where, weights, {**loss, **(found or {})}, training.network)


def _validate(training: Training, batches: Iterable[Batch]) -> Moment:
    training.begin_scoring("validation", selected=False)
    logits = []
    for batch in _first(batches):
        trajectory, given, loss = training.loop.evaluate(batch)
        training.evaluation.update(batch, trajectory, given, loss)
        logits.append(given)
    training.end_epoch()
    return _moment(f"epoch {training.epoch}, validation", training, _scores(training, logits))


def _tested(training: Training, batches: Iterable[Batch]) -> Moment:
    training.network.load_state_dict(training.best.weights)
    training.begin_scoring("test", selected=True)
    for batch in _first(batches):
        training.score(batch)
    logits = [given for *_, given in training.predictions]
    return _moment("test", training, _scores(training, logits))


def _scores(training: Training, logits: Sequence[Tensor]) -> dict[str, Tensor]:
    scores = training.evaluation.scores()
    found = {"loss": scores.loss, "accuracy": scores.accuracy or 0.0}
    rates = {f"rate of {layer.name}": layer.rate_per_step for layer in scores.activity}
    numbers = {name: torch.tensor(value, dtype=torch.float64) for name, value in {**found, **rates}.items()}
    return {"logits": torch.cat([given.flatten() for given in logits]), **numbers}


# --- two moments


def _finite(course: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from course
    except NonFiniteError:
        yield None


def _where(*moments: Sequence[Moment] | None) -> str:
    return next(each[0].where for each in moments if each is not None)


def _difference(ours: Moment, theirs: Moment, before: Moment | None) -> str | None:
    """Name the first thing that two moments differ in beyond rounding, and by how much; None where nothing does."""
    for name, value in theirs.found.items():
        off = _off(ours.found[name], value)
        if off > TOLERANCE * max(_largest(value), SMALL):
            return f"{name} off by {off:.1e} of {_largest(value):.1e}"
    last = {} if before is None else before.weights
    move = max(_largest(value - last.get(name, 0.0)) for name, value in theirs.weights.items())
    for name, value in theirs.weights.items():
        off = _off(ours.weights[name], value)
        if off > MOVE_TOLERANCE * max(move, SMALL):
            return f"{name} off by {off:.1e} where weights move by {move:.1e}"
    return None


def _off(ours: Tensor, theirs: Tensor) -> float:
    return _largest(ours.detach() - theirs.detach()) if ours.shape == theirs.shape else math.inf


def _largest(value: Tensor) -> float:
    return float(value.detach().abs().max()) if value.numel() else 0.0


def _make_equal(ours: nn.Module, theirs: nn.Module) -> None:
    """Write one network's weights into the memory of another's, which moves no version."""
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        one.detach().numpy()[...] = other.detach().numpy()


def _raise(failures: dict[int, Exception]) -> None:
    for error in failures.values():
        raise error
