"""The speeds of README.md and docs/engine.md: `headline` measures them all, `table` writes the pages.

Pages are made of stored results and nothing else.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.memory import ROOT
from sgbench.errors import InputError, SgbenchError
from sgbench.records.files import write_atomic

RESULTS = Path(__file__).resolve().parent / "results"
BASE, OURS = "snntorch", "sgbench fused"
START, END = "<!-- speed -->", "<!-- /speed -->"
SENTENCE = re.compile(r"(trains a network )\d+ to \d+( times as fast as snnTorch)")
"""Of README.md, about the workloads of sparse input."""


class Line(NamedTuple):
    """One row of the table, and how it is measured."""

    text: str
    name: str  # of the results: that of `engine`, and behind "peers_" that of `peers`
    words: str  # of the commands `engine` and `peers`
    rounds: int
    with_peers: bool = False
    sparse: bool = True


LINES = (
    Line("700 sparse inputs (1.2 %), 256 neurons", "w1_ff", "w1_ff", 15, with_peers=True),
    Line("the same, 10 % of inputs", "w1_ff_dense", "w1_ff --density 0.1", 15),
    Line(
        "96 samples, 192 neurons, 3 % of inputs",
        "w1_ff_96",
        "w1_ff --batch 96 --hidden 192 --steps 80 --density 0.03",
        15,
    ),
    Line("recurrent, all to all", "w1_rec", "w1_rec", 15, with_peers=True),
    Line("two hidden layers", "w1_deep", "w1_deep", 15),
    Line("dense noise, 512 neurons", "w2", "w2", 15, with_peers=True, sparse=False),
    Line("dense noise, 4096 neurons", "w2_4096", "w2 --hidden 4096", 3, sparse=False),
    Line("two convolutions", "w3", "w3", 9, with_peers=True, sparse=False),
)
PEER_ROUNDS = 5
WIDER, WIDER_COMMIT = "avx512", "d0c6a2ef"
"""Folder of the results that another processor gave, and the code that was measured there."""


class Measurement(NamedTuple):
    """One command, and the file that it writes."""

    words: str
    file: str


class HeadlineSettings(NamedTuple):
    """How the table is measured."""

    rounds: int | None  # at most, of each measurement
    into: Path
    peers: bool


def measurements(settings: HeadlineSettings) -> list[Measurement]:
    """List the commands whose results the table shows, in the order in which they are run."""

    def words(command: str, line: Line, rounds: int) -> str:
        count = rounds if settings.rounds is None else min(rounds, settings.rounds)
        return f"{command} --workload {line.words} --rounds {count}"

    listed = [Measurement(words("engine", line, line.rounds), f"{line.name}.json") for line in LINES]
    if settings.peers:
        listed += [
            Measurement(words("peers", line, min(line.rounds, PEER_ROUNDS)), f"peers_{line.name}.json")
            for line in LINES
            if line.with_peers
        ]
    return [*listed, Measurement("memory --workload w1_ff", "memory_w1_ff.json")]


def measure(settings: HeadlineSettings) -> None:
    """Make every measurement in a process of its own, one after another, and print the progress."""
    if settings.peers:
        from benchmarks import peers

        for name, why in peers.missing().items():
            raise InputError(f"{name} is {why}; --without-peers keeps the stored results of other frameworks")
    settings.into.mkdir(parents=True, exist_ok=True)
    begun_s, planned = time.monotonic(), measurements(settings)
    for number, (words, file) in enumerate(planned, 1):
        minutes = (time.monotonic() - begun_s) / 60
        print(f"[{number} of {len(planned)}, after {minutes:.1f} min] {words}", flush=True)
        command = [
            sys.executable, "-m", "benchmarks", *words.split(), "--json", str((settings.into / file).resolve()),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise SgbenchError(f"{words}: {reason}")
        if file == f"{LINES[0].name}.json" or words.startswith("memory"):
            print(done.stdout, flush=True)
    print(f"measured in {(time.monotonic() - begun_s) / 60:.1f} minutes; results in {settings.into}")


def rewrite(root: Path = ROOT, folder: Path = RESULTS) -> None:
    """Write the table into docs/engine.md, and the range of gains into a sentence of README.md."""
    page, readme = root / "docs" / "engine.md", root / "README.md"
    gains = [_gain(folder, line) for line in LINES if line.sparse]
    put(page, START, END, table(folder))
    text, count = SENTENCE.subn(rf"\g<1>{min(gains):.0f} to {max(gains):.0f}\g<2>", readme.read_text("utf-8"))
    if count != 1:
        raise InputError(f"{readme}: '{SENTENCE.pattern}' is needed once")
    write_atomic(readme, text.encode())


def put(page: Path, start: str, end: str, text: str) -> None:
    """Replace what a page has between two marks."""
    before, _, behind_start = page.read_text(encoding="utf-8").partition(start)
    _, end_mark, after = behind_start.partition(end)
    if not end_mark:
        raise InputError(f"{page}: {start} and {end} are needed")
    write_atomic(page, f"{before}{start}\n{text}\n{end}{after}".encode())


def table(folder: Path = RESULTS) -> str:
    """Write the table of stored results as Markdown, and below it on which machines they were measured."""
    rows = [
        "| one training step | snnTorch | sgbench | times faster | best peer | with AVX-512 |",
        "| :-- | --: | --: | --: | :-- | --: |",
    ]
    machines: dict[str, list[str]] = {}
    for line in LINES:
        result = _read(folder / f"{line.name}.json")
        machines.setdefault(_machine(result), []).append(line.text)
        ours = result["contenders"][OURS]
        ratio = ours["ratio_cpu"]
        rows.append(
            f"| {line.text} | {_ms(result['contenders'][BASE])} | {_ms(ours)} "
            f"| **{ratio['median']:.1f}** ({ratio['low']:.1f} to {ratio['high']:.1f}) "
            f"| {_best_peer(folder, line)} | {_elsewhere(folder, line)} |"
        )
    usual, *others = sorted(machines, key=lambda machine: -len(machines[machine]))
    sentences = [f"We measured on {usual}"]
    sentences += [f'We measured "{name}" on {machine}' for machine in others for name in machines[machine]]
    if (folder / WIDER).is_dir():
        sentences.append(
            f'The column "with AVX-512" is how many times faster commit {WIDER_COMMIT} was on a processor that has it.'
        )
    return "\n".join([*rows, "", " ".join(sentences)])


def _gain(folder: Path, line: Line) -> float:
    """Return how many times faster than snnTorch sgbench is, by the stored result of a line."""
    ratio: float = _read(folder / f"{line.name}.json")["contenders"][OURS]["ratio_cpu"]["median"]
    return ratio


def _read(path: Path) -> dict[str, Any]:
    """Read a stored result of `engine` or `peers`; an `InputError` if it is none."""
    try:
        result = json.loads(path.read_text())
        result["contenders"][OURS]["ratio_cpu"]["median"]  # raises for another kind of file
    except OSError as error:
        raise InputError(f"{path} cannot be read; `python -m benchmarks headline` writes such a file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a result of `python -m benchmarks engine`") from error
    return result  # type: ignore[no-any-return]


def _ms(entry: dict[str, Any]) -> str:
    median = entry["cpu_ms"]["median"]
    return f"{median:,.0f} ms" if median >= 1000 else f"{median:.1f} ms"  # noqa: PLR2004 - four digits are enough


def _best_peer(folder: Path, line: Line) -> str:
    """Name the fastest other framework and how many times faster than snnTorch it is; empty if none was measured."""
    if not line.with_peers:
        return ""
    contenders = _read(folder / f"peers_{line.name}.json")["contenders"]
    peer_ratios = {name: entry["ratio_cpu"]["median"] for name, entry in contenders.items() if entry["model"] == "near"}
    best = max(peer_ratios, key=peer_ratios.__getitem__)
    return f"{best} {peer_ratios[best]:.1f}"


def _elsewhere(folder: Path, line: Line) -> str:
    """Return the gain on the other processor, or nothing where it was not measured."""
    is_measured = (folder / WIDER / f"{line.name}.json").is_file()
    return f"{_gain(folder / WIDER, line):.1f}" if is_measured else ""


def _machine(result: dict[str, Any]) -> str:
    """Describe on what a result was measured, as the end of a sentence."""
    environment, threads = result["environment"], result["settings"]["threads"]
    versions = ", ".join(f"{name} {environment['versions'][name]}" for name in ("torch", "snntorch", "numba"))
    unit = "with AVX-512" if "avx512f" in environment["cpu"]["vector_units"] else "without AVX-512"
    return f"a processor {environment['cpu']['model']} {unit}, on {threads} thread in float32, with {versions}."
