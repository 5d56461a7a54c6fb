"""A run of less than a second, for tests of everything around it."""

from __future__ import annotations

from typing import Any

from sgbench.records.record import RunRecord

WORDS = (
    "experiment=digits",
    "protocol.epochs=3",
    "protocol.steps=6",
    "protocol.hidden=[8]",
    "protocol.batch_size=256",
    "trainer.progress=false",
)


def comparable(record: RunRecord) -> dict[str, Any]:
    """A record without what differs between two runs of the same thing: times, memory, date."""
    tree = record.model_dump(mode="json")
    tree.pop("timing")
    tree.pop("peak_memory_bytes")
    tree["provenance"].pop("created_utc")
    return tree
