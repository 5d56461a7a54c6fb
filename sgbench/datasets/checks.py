"""Checks of loaded samples against what their data set declares; the first difference raises one line."""

import torch
from torch import Tensor

from fastspiking.signals.spikes import MICRO, SpikeTrains
from fastspiking.signals.trajectory import UNLABELLED
from sgbench.datasets.base import SPLITS, DataSet, Samples, Split
from sgbench.encoders.base import Values, form_of
from sgbench.errors import InputError


def check(data_set: DataSet, splits: dict[Split, Samples]) -> str:
    """Compare loaded splits with the attributes and the checksum of their data set, and return their SHA-256."""
    name = type(data_set).__name__
    if set(splits) != set(SPLITS):
        raise InputError(f"data set {name}: exactly the splits {', '.join(SPLITS)} are needed")
    for split, samples in splits.items():
        problem = _problem(samples, data_set, split)
        if problem is not None:
            raise InputError(f"data set {name}: split {split} {problem}")
    return data_set.verify(splits)


def _problem(samples: Samples, facts: DataSet, split: Split) -> str | None:
    """Compare a split with `facts`; return the first problem, worded to follow "split NAME ", or None."""
    values, target, lengths = samples
    if len(target) == 0:
        return "is empty"
    problem = _value_problem(values, facts, len(target), facts.sizes[split])
    if problem is not None:
        return problem
    problem = _target_problem(target, facts)
    if problem is None and lengths is not None and lengths.min() < 1:
        return "has a sample length below 1"
    return problem


def _target_problem(target: Tensor, facts: DataSet) -> str | None:
    if facts.target == "class":
        return _class_problem(target, facts)
    if facts.target == "class_per_step":
        return _label_problem(target, facts)
    return _output_problem(target, facts)


def _label_problem(target: Tensor, facts: DataSet) -> str | None:
    """Say what is wrong with labels of single steps; None if all is well."""
    if target.ndim != 2 or target.is_floating_point():  # noqa: PLR2004 - samples, steps
        return f"has labels of shape {tuple(target.shape)}, not whole numbers [samples, steps]"
    labelled = target[target != UNLABELLED]
    return "has no label" if not len(labelled) else _class_problem(labelled, facts)


def _class_problem(target: Tensor, facts: DataSet) -> str | None:
    """Say which class is out of range or missing; None if all is well."""
    if target.min() < 0 or target.max() >= facts.n_classes:
        return f"has a target outside 0..{facts.n_classes - 1}"
    if not facts.every_class_in_each_split:
        return None
    missing = set(range(facts.n_classes)) - set(target.unique().tolist())
    return f"has no sample of class {min(missing)}" if missing else None


def _output_problem(target: Tensor, facts: DataSet) -> str | None:
    """Say what is wrong with targets of one value a step and output; None if all is well."""
    if target.ndim != 3 or target.shape[2] != facts.outputs():  # noqa: PLR2004 - samples, steps, outputs
        return f"has targets of shape {tuple(target.shape)}, not [samples, steps, {facts.outputs()}]"
    if not torch.isfinite(target).all():
        return "has a target that is not finite"
    if facts.target == "spikes" and not ((target == 0) | (target == 1)).all():
        return "has a target that is neither 0 nor 1"
    return None


def _value_problem(values: Values, facts: DataSet, targets: int, size: int) -> str | None:
    """Compare a split's values with `facts`; return the first problem or None.

    `targets` is the number of targets in the split, `size` the declared number of samples.
    """
    if form_of(values) != facts.form:
        return f"holds {form_of(values)}, not the declared {facts.form}"
    spikes = isinstance(values, SpikeTrains)
    shape = (len(values), values.n_channels) if spikes else tuple(values.shape)
    if (shape[0], shape[-1]) != (size, facts.n_inputs) or targets != size:
        return f"has shape {shape} and {targets} targets, not the declared {(size, facts.n_inputs)}"
    if spikes:
        return values.problem()
    if values.dtype == torch.uint8:
        return None
    for part in values.split(max(1, AT_ONCE // max(1, values[:1].numel()))):
        if not torch.isfinite(part).all():
            return "is not finite"
        if part.min() < 0 or part.max() > 1:
            return "has a value outside [0, 1]"
    return None


AT_ONCE = 2**22
"""Numbers that are checked at a time, so that mapped files larger than memory can be checked."""


def summary_rows(dataset: DataSet, splits: dict[Split, Samples]) -> list[list[str]]:
    """List rows [name, text]: form and inputs, then for each split its samples, classes, lengths and density."""
    rows = [["form", f"{dataset.form}, {dataset.n_inputs} inputs"]]
    for name, part in splits.items():
        rows.append([name, f"{len(part.target)} samples, {_target_text(dataset, part)}; {_density_text(part)}"])
    return rows


def _target_text(dataset: DataSet, part: Samples) -> str:
    """Describe the targets of a split: how many samples or steps each class has."""
    if dataset.target == "class":
        counts = part.target.bincount(minlength=dataset.n_classes).tolist()
        return f"of each class {' to '.join(map(str, sorted({min(counts), max(counts)})))}"
    if dataset.target == "class_per_step":
        labels = part.target[part.target != UNLABELLED]
        shares = labels.bincount(minlength=dataset.n_classes) / len(labels)
        shares_text = ", ".join(f"{share:.1%}" for share in shares.tolist())
        return f"a class in {len(labels) / part.target.numel():.1%} of {part.target.shape[1]} steps ({shares_text})"
    return f"target: {dataset.target} of {dataset.outputs()} outputs in {part.target.shape[1]} steps"


def _density_text(part: Samples) -> str:
    """Describe the inputs of a split: spikes a sample, or the mean value."""
    values = part.values
    if isinstance(values, SpikeTrains):
        lasts = (values.duration_us * MICRO).tolist()
        mean = len(values.channel) / len(values)
        return f"{mean:.4g} spikes a sample in {min(lasts):.4g} to {max(lasts):.4g} s"
    scale = 255 if not values.is_floating_point() else 1
    steps = f"{values.shape[1]} steps, " if values.ndim == 3 else ""  # noqa: PLR2004 - samples, steps, inputs
    return f"{steps}mean value {values.double().mean().item() / scale:.3g}"
