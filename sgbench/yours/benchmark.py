"""Compares surrogates on a user's own data, in one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sgbench.composition import catalogue
from sgbench.errors import InputError, require_number
from sgbench.records.calibration import AUTO
from sgbench.sweeps.api import SweepTable, sweep
from sgbench.yours.arrays import Unit, read_data
from sgbench.yours.entry import Terms, WrittenEntry, entry_lines, write_entry
from sgbench.yours.samples import prepare

DEFAULT_SURROGATES = ("atan", "fast_sigmoid", "triangle", "constant")


def write_entry_for(  # noqa: PLR0913 - each has a default
    name: str,
    train: Any,
    test: Any | None = None,
    validation: Any | None = None,
    *,
    groups: Any | None = None,
    dt_s: float | None = None,
    time_unit: Unit = "s",
    terms: Terms | None = None,
    data_dir: Path | None = None,
) -> WrittenEntry:
    """Read and check a user's data, and write its catalogue entry; arguments are those of `sgbench.benchmark`."""
    if dt_s is not None:
        require_number("dt_s", dt_s, low=0, high=1, open_low=True)
    parts = [
        None if part is None else read_data(part, part_name, time_unit=time_unit)
        for part_name, part in (("test", test), ("validation", validation))
    ]
    prepared = prepare(read_data(train, "train", time_unit=time_unit), *parts, groups=groups, dt_s=dt_s)
    return write_entry(name, prepared, terms or Terms(), data_dir=data_dir)


def benchmark(  # noqa: PLR0913 - each has a default
    train: Any,
    test: Any | None = None,
    *,
    surrogates: Sequence[str] = DEFAULT_SURROGATES,
    widths: Sequence[float | Literal["auto"]] | None = None,
    seeds: int = 5,
    name: str = "mine",
    validation: Any | None = None,
    groups: Any | None = None,
    dt_s: float | None = None,
    time_unit: Unit = "s",
    encoder: str | None = None,
    hidden: Sequence[int] = (64,),
    epochs: int | None = None,
    batch_size: int = 32,
    overrides: Sequence[str] = (),
    workers: int | None = None,
) -> SweepTable:
    """Compare surrogates on your own data: split, train side by side, and return the table, which prints itself.

    Samples are arrays [samples, time, channels] or [samples, features], lists of samples [time, channels] or of
    (times, channels) of spikes, a torch `Dataset` or `DataLoader`, or a data set of tonic. The same call continues
    an interrupted one, and every command works on its runs. `sgbench.plot(table, "mine.png")` draws the table.

    The example trains two networks:

    >>> import numpy as np
    >>> labels = np.array(["left", "right"] * 30)
    >>> recordings = np.random.default_rng(0).normal(size=(60, 10, 4)) + (labels == "left")[:, None, None]
    >>> table = benchmark((recordings, labels), surrogates=["atan", "zero"], seeds=1, epochs=1)  # doctest: +SKIP
    >>> len(table)  # doctest: +SKIP
    2

    Args:
        train: (x, y), or one of the other forms; the training data.
        test: the data of the reported score, in the same form; None takes a fifth of `train`.
        surrogates: names of entries of the catalogue.
        widths: full widths at half maximum [threshold units], or "auto" for one by `sgbench.calibrate`; None takes
            each surrogate's own.
        seeds: number of runs of each combination.
        name: name of the task, in lower-case letters, digits and _.
        validation: the data that select the epoch and the best setting; None takes a fifth of the rest of `train`.
        groups: the group of each sample of `train` [samples], such as the recorded person; no group is divided.
        dt_s: duration of a time step [s]; None takes a hundredth of the longest sample of spikes.
        time_unit: unit of spike times given as (times, channels): "s", "ms" or "us".
        encoder: name of the encoder; None takes spikes as they are, traces as currents, features by latency.
        hidden: neurons of each hidden layer.
        epochs: epochs of training; None makes about a thousand updates.
        batch_size: samples of a batch.
        overrides: further Hydra overrides, e.g. "neuron=synaptic", "logger=wandb".
        workers: parallel processes; None takes one for each core.

    Returns:
        The table of means over seeds, which prints itself; `best` is what validation selects.

    Raises:
        InputError: data or a name cannot be used; one line with the remedy.
    """
    _require_surrogates_and_widths(surrogates, widths)
    terms = Terms(hidden=tuple(hidden), epochs=epochs, batch_size=batch_size, seeds=seeds, encoder=encoder)
    options: dict[str, Any] = {"groups": groups, "dt_s": dt_s, "time_unit": time_unit, "terms": terms}
    entry = write_entry_for(name, train, test, validation, **options)
    swept = _sweep_overrides(entry, surrogates, widths, seeds)
    table = sweep(*swept, *overrides, workers=workers, title=name)
    board = f"board: sgbench board show --from runs --protocol {entry.protocol}"
    return SweepTable(table.results, (*entry_lines(entry), board))


def _require_surrogates_and_widths(surrogates: Sequence[str], widths: Sequence[float | str] | None) -> None:
    """Refuse surrogates that are no names of the catalogue, and widths that are not positive."""
    if isinstance(surrogates, str) or not all(isinstance(surrogate, str) for surrogate in surrogates) or not surrogates:
        raise InputError(
            "surrogates: names of the catalogue are needed, e.g. ['atan', 'triangle']; a class of your "
            "own needs an entry, see CONTRIBUTING.md"
        )
    for surrogate in surrogates:
        catalogue.entry("surrogate", surrogate)
    for width in (width for width in widths or () if width != AUTO):
        require_number("widths", width, low=0, open_low=True)


def _sweep_overrides(
    entry: WrittenEntry, surrogates: Sequence[str], widths: Sequence[float | str] | None, seeds: int
) -> list[str]:
    """Return the overrides of a sweep over surrogates, widths and seeds."""
    chosen = [] if widths is None else [f"width_fwhm={','.join(map(str, dict.fromkeys(widths)))}"]
    return [
        f"experiment={entry.name}",
        f"surrogate={','.join(dict.fromkeys(surrogates))}",
        *chosen,
        f"seed={','.join(map(str, range(seeds)))}",
        "trainer.progress=false",
    ]
