"""A tree of records, read and measured; a large one by all processors."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sgbench.errors import InputError
from sgbench.leaderboard.rows import Measured, measure
from sgbench.leaderboard.store.reading import Finding, Layout, RecordFile
from sgbench.leaderboard.store.tree import RecordTree, read_files
from sgbench.records.energy import EnergyTarget

MANY = 1000
"""Records from which other processes are worth their start."""
SHARES = 8
"""Parts of the work for each process, so that none waits long for another."""


@dataclass(frozen=True)
class _Part:
    measured: list[tuple[str, Measured]]  # with the protocol
    findings: list[Finding]


def measure_all(
    tree: RecordTree,
    *,
    targets: tuple[EnergyTarget, ...] = (),
    meanwhile: Callable[[], object] | None = None,
) -> tuple[dict[str, list[Measured]], list[Finding]]:
    """Measure the methods of a tree by protocol, and name the files that were left out.

    Args:
        tree: the records; see `sgbench.leaderboard.store.tree.read_methods`.
        targets: price lists.
        meanwhile: done by this process while others read, if there are others.

    Raises:
        InputError: the root is no folder, or has none for the protocol asked for.
    """
    files, findings = tree.candidates()
    for file in files[:: max(1, len(files) // SHARES)]:
        with suppress(InputError):  # which each of its records will say
            tree.references.of(
                file.path.relative_to(tree.root).parts[0]
            )  # composed here, once for all processes
    measured: dict[str, list[Measured]] = {}
    for part in _parts(partial(_part, tree=tree, targets=targets), files, tree.layout, meanwhile):
        findings += part.findings
        for name, method in part.measured:
            measured.setdefault(name, []).append(method)
    return measured, findings


def processors() -> int:
    """Count the processors that this process may use; 1 where processes are not forked."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _parts(
    work: partial[_Part], files: list[RecordFile], layout: Layout, meanwhile: Callable[[], object] | None
) -> Iterator[_Part]:
    workers = processors()
    if len(files) < MANY or workers == 1:
        yield work(files)
        return
    # Forked, since a new interpreter takes as long to load its modules as thousands of records to read.
    context = multiprocessing.get_context("fork")
    # They are short-lived and make few cycles; looking for these takes a tenth of their time.
    with ProcessPoolExecutor(workers, mp_context=context, initializer=gc.disable) as pool:
        parts = pool.map(work, shares(files, layout, workers * SHARES))
        if meanwhile is not None:  # the others have been started: nothing of it is copied into them
            meanwhile()
        yield from parts


def shares(files: Sequence[RecordFile], layout: Layout, count: int) -> list[list[RecordFile]]:
    """Divide records into so many parts, none of which divides a method.

    Args:
        files: of records, those of a method side by side.
        layout: of the folder that they are in.
        count: of the parts, at most.
    """
    size = -(-len(files) // count)
    shares: list[list[RecordFile]] = [[]]
    last = None
    for file in files:
        method = file.path.parent if layout == "leaderboards" else file.path.parent.parent
        if len(shares[-1]) >= size and method != last:
            shares.append([])
        shares[-1].append(file)
        last = method
    return shares


def _part(files: Sequence[RecordFile], *, tree: RecordTree, targets: tuple[EnergyTarget, ...]) -> _Part:
    findings: list[Finding] = []
    measured = []
    for row in read_files(files, tree):
        if isinstance(row, Finding):
            findings.append(row)
            continue
        reference = tree.references.of(row.records[0].protocol)
        _ = reference.measure  # says so where nobody knows what guessing loses
        result = measure(
            row.records,
            row_id=row.row_id,
            classes=reference.classes,
            guess_loss=reference.guess_loss,
            guess_accuracy=reference.guess_accuracy,
            targets=targets,
            dt_s=reference.protocol.dt_s,
        )
        measured.append((reference.protocol.name, result))
    return _Part(measured, findings)
