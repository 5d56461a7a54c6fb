"""`table`: the table of docs/engine.md, from the stored results and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from sgbench.errors import InputError

RESULTS = Path(__file__).resolve().parent / "results"
BASE, OURS = "snntorch", "sgbench fused"
START, END = "<!-- speed -->", "<!-- /speed -->"


class Line(NamedTuple):
    """One row."""

    text: str
    file: str  # of `engine`
    peers: str | None  # of `peers`


LINES = (
    Line("700 sparse inputs (1.2 %), 256 neurons", "w1_ff.json", "peers_w1_ff.json"),
    Line("the same, 10 % of inputs", "w1_ff_dense.json", None),
    Line("96 samples, 192 neurons, 3 % of inputs", "w1_ff_96.json", None),
    Line("recurrent, all to all", "w1_rec.json", "peers_w1_rec.json"),
    Line("two hidden layers", "w1_deep.json", None),
    Line("dense noise, 512 neurons", "w2.json", "peers_w2.json"),
    Line("dense noise, 4096 neurons", "w2_4096.json", None),
    Line("two convolutions", "w3.json", "peers_w3.json"),
)


def table(folder: Path = RESULTS) -> str:
    """Markdown, and the machine below it.

    Raises:
        InputError: a result is missing or not one.
    """
    rows = [
        "| one training step | snnTorch | sgbench | times faster | best peer |",
        "| :-- | --: | --: | --: | :-- |",
    ]
    machines = set()
    for line in LINES:
        tree = _read(folder / line.file)
        machines.add(_machine(tree))
        ours = tree["contenders"][OURS]
        ratio = ours["ratio_cpu"]
        rows.append(
            f"| {line.text} | {_ms(tree['contenders'][BASE])} | {_ms(ours)} "
            f"| **{ratio['median']:.1f}** ({ratio['low']:.1f} to {ratio['high']:.1f}) "
            f"| {_best_peer(folder, line.peers)} |"
        )
    return "\n".join([*rows, "", *sorted(machines)])


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text())
        tree["contenders"][OURS]["ratio_cpu"]["median"]
    except OSError as error:
        raise InputError(
            f"{path} cannot be read; `python -m benchmarks engine --json` writes such a file"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a result of `python -m benchmarks engine`") from error
    return tree  # type: ignore[no-any-return]


def _ms(entry: dict[str, Any]) -> str:
    median = entry["cpu_ms"]["median"]
    return f"{median:,.0f} ms" if median >= 1000 else f"{median:.1f} ms"  # noqa: PLR2004 - four digits are enough


def _best_peer(folder: Path, file: str | None) -> str:
    if file is None:
        return ""
    contenders = _read(folder / file)["contenders"]
    peer_ratios = {
        name: entry["ratio_cpu"]["median"] for name, entry in contenders.items() if entry["model"] == "near"
    }
    best = max(peer_ratios, key=peer_ratios.__getitem__)
    return f"{best} {peer_ratios[best]:.1f}"


def _machine(tree: dict[str, Any]) -> str:
    used = tree["environment"]
    versions = ", ".join(f"{name} {used['versions'][name]}" for name in ("torch", "snntorch", "numba"))
    return f"{used['cpu']['model']}, {tree['settings']['threads']} thread, float32; {versions}."
