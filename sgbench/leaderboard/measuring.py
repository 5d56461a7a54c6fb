"""Read and measure a tree of records, a large one in parallel processes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from sgbench.errors import InputError
from sgbench.leaderboard.processes import in_processes, workers_for
from sgbench.leaderboard.rows import Measured, measure
from sgbench.leaderboard.store.reading import Finding, Layout, RecordFile
from sgbench.leaderboard.store.tree import RecordTree, read_files
from sgbench.records.energy import EnergyTarget

MANY = 1000
"""Fewest records that are read by several processes, which take time to start."""
SHARES = 8
"""Count of parts of the work for each process, so that all finish at about the same time."""


def measure_all(
    tree: RecordTree, *, targets: tuple[EnergyTarget, ...] = (), meanwhile: Callable[[], object] | None = None
) -> tuple[dict[str, list[Measured]], list[Finding]]:
    """Measure the methods of a tree; return them by protocol, and a finding for each file that was left out.

    `tree`: the records, none of which is trusted. `meanwhile`: called once in this process while worker processes read;
    not called if there are none.
    """
    files, findings = tree.candidates()
    depth = len(tree.root.parts)
    for name in dict.fromkeys(file.path.parts[depth] for file in files):
        with suppress(InputError):  # repeated for each of its records
            tree.references.of(name)  # composed once, before processes are forked
    measured: dict[str, list[Measured]] = {}
    workers = workers_for(len(files), many=MANY)
    parts = shares(files, tree.layout, workers * SHARES) if workers > 1 else [files]
    work = partial(_results, tree=tree, targets=targets)
    results = in_processes(work, parts, workers=workers, meanwhile=meanwhile)
    for _, result in sorted(results, key=lambda numbered: numbered[0]):  # by the index of their part
        if isinstance(result, Finding):
            findings.append(result)
        else:
            protocol, method = result
            measured.setdefault(protocol, []).append(method)
    return measured, findings


def shares(files: Sequence[RecordFile], layout: Layout, count: int) -> list[list[RecordFile]]:
    """Divide records into parts of about equal size, without dividing a method."""
    size = -(-len(files) // count)
    parts: list[list[RecordFile]] = [[]]
    last_method = None
    for file in files:
        method = file.path.parent if layout == "leaderboards" else file.path.parent.parent
        if len(parts[-1]) >= size and method != last_method:
            parts.append([])
        parts[-1].append(file)
        last_method = method
    return parts


def _results(
    files: Sequence[RecordFile], *, tree: RecordTree, targets: tuple[EnergyTarget, ...]
) -> Iterator[tuple[str, Measured] | Finding]:
    for row in read_files(files, tree):
        if isinstance(row, Finding):
            yield row
            continue
        reference = tree.references.of(row.records[0].protocol)
        _ = reference.measure  # raises if the score of guessing is unknown
        result = measure(
            row.records,
            row_id=row.row_id,
            classes=reference.classes,
            guess_loss=reference.guess_loss,
            guess_accuracy=reference.guess_accuracy,
            targets=targets,
            dt_s=reference.protocol.dt_s,
        )
        yield reference.protocol.name, result
