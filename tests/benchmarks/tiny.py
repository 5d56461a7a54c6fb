"""The benchmark's command, and words that make each of its workloads tiny."""

from __future__ import annotations

from benchmarks.__main__ import main

TINY_W1 = "--steps 12 --batch 4 --inputs 40 --hidden 12 --density 0.1"
TINY = {
    "w1_ff": TINY_W1,
    "w1_rec": TINY_W1,
    "w1_deep": TINY_W1,
    "w2": "--steps 12 --batch 4 --hidden 12",
    "w3": "--steps 8 --batch 2",
}
QUICK = "--rounds 2 --default-allocator"


def bench(words: str) -> int:
    return main(words.split())
