"""Summarises the samples of a data set in a few lines."""

from fastspiking.signals.spike_trains import MICRO, SpikeTrains
from fastspiking.signals.trajectory import UNLABELLED
from sgbench.datasets.base import DataSet, Samples, Split


def summary_rows(dataset: DataSet, splits: dict[Split, Samples]) -> list[list[str]]:
    """List rows [name, text]: form and inputs, then for each split its samples, classes, lengths and density."""
    rows = [["form", f"{dataset.form}, {dataset.n_inputs} inputs"]]
    for name, part in splits.items():
        rows.append([name, f"{len(part.target)} samples, {_target_text(dataset, part)}; {_density_text(part)}"])
    return rows


def _target_text(dataset: DataSet, part: Samples) -> str:
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
    values = part.values
    if isinstance(values, SpikeTrains):
        lasts = (values.duration_us * MICRO).tolist()
        mean = len(values.channel) / len(values)
        return f"{mean:.4g} spikes a sample in {min(lasts):.4g} to {max(lasts):.4g} s"
    scale = 255 if not values.is_floating_point() else 1
    steps = f"{values.shape[1]} steps, " if values.ndim == 3 else ""  # noqa: PLR2004 - samples, steps, inputs
    return f"{steps}mean value {values.double().mean().item() / scale:.3g}"
