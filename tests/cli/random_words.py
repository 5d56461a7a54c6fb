"""Random command lines over all commands: their own options, with values that are careless, absurd or hostile."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sgbench.cli.main import parser

LONG = "a" * 300
ODD_PATHS = (
    "here",
    "here/run",
    "here/run/record.json",
    "text.txt",
    "text.png",
    "empty",
    "empty.json",
    "list.json",
    "deep.json",
    "deep.yaml",
    "odd.yaml",
    "picture.png",
    "numbers.npz",
    "nowhere",
    "nowhere/deep/x.png",
    "folder.png",
    "folder.json",
    "loop",
    "loop/x.png",
    "broken",
    "broken/x",
    LONG,
    f"{LONG}.png",
    "a/" * 2500,
    "\udcff",
    "line\nbreak",
    "col\x1b[31mour.png",
    "-",
    "",
    " ",
    ".",
    "..",
    "~",
    "~nobody/x",
    "/proc",
    "/proc/nowhere/x.png",
    "/proc/self/fd",
    "*",
    "[",
    "p\u00e4th",
    "https://example.invalid/x",
)
NAMES = (
    "atan",
    "surrogate",
    "surrogate/atan",
    "neuron/leaky",
    "digits",
    "digits_v1",
    "quickstart",
    "spytorch1",
    "loihi",
    "atann",
    "surrogate/",
    "/",
    "//",
    "/atan",
    "surrogate//atan",
    "surrogate/../surrogate/atan",
    "../..",
    "surrogate/*",
    "*",
    "Atan",
    "None",
    "null",
    "os.system",
    "sgbench.neurons.leaky.Leaky",
    "0",
    "-1",
)
NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "3.5",
    "1e308",
    "1e400",
    "1e-400",
    "nan",
    "inf",
    "-inf",
    "1_000",
    "\u0661",
    "0x10",
    str(10**30),
    str(2**63),
    "",
    "one",
    "True",
)
KEYS = (
    "surrogate",
    "surrogate.alpha",
    "surrogate.width_fwhm",
    "width_fwhm",
    "neuron",
    "neuron.beta",
    "neuron@readout",
    "readout.beta",
    "network.hidden",
    "network.recurrence",
    "protocol",
    "protocol.steps",
    "protocol.hidden",
    "protocol.name",
    "protocol.precision",
    "protocol.seeds",
    "protocol.dt_s",
    "experiment",
    "sweep",
    "dataset",
    "encoder",
    "rule",
    "rule.window",
    "loss",
    "optimizer",
    "optimizer.lr",
    "optimizer.betas",
    "init",
    "steepness",
    "firing",
    "regulariser",
    "trainer.device",
    "trainer.threads",
    "trainer.diagnose",
    "trainer.profile",
    "logger",
    "seed",
    "engine",
    "group",
    "force",
    "clip_norm",
    "paths.runs_dir",
    "paths.data_dir",
    "hydra.mode",
    "hydra.sweep.dir",
    "hydra.sweep.subdir",
    "hydra.run.dir",
    "hydra.output_subdir",
    "hydra.job.chdir",
    "hydra.job.name",
    "hydra.job.env_set",
    "hydra.job_logging",
    "hydra.verbose",
    "hydra.searchpath",
    "hydra.launcher",
    "hydra.launcher.workers",
    "hydra.launcher.on",
    "hydra.sweeper",
    "hydra.sweeper.points",
    "hydra.sweeper.params",
    "hydra.sweeper.max_batch_size",
    "hydra/launcher",
    "hydra/sweeper",
    "hydra/job_logging",
    "meta",
    "nothing",
    "a.b.c",
    "",
)
VALUES = (
    *NUMBERS,
    *NAMES,
    "atan,triangle",
    "0,1,2",
    "interval(0,1)",
    "interval(0,1),2",
    "interval(1,0)",
    "shuffle(1,2),True",
    "shuffle(0,1,2)",
    "choice(atan,triangle)",
    "choice()",
    "range(3)",
    "range(0,10,-1)",
    "range(1,2,0.3)",
    "sort(3,1,2)",
    "sort(3,a)",
    "tag(x,choice(1,2))",
    "glob(*)",
    "int(3.7)",
    "float(x)",
    "str([1,2])",
    "extend_list(1)",
    "[1,2]",
    "[64]",
    "[]",
    "[[]]",
    "[a,{b:1}]",
    "{a:1}",
    "{_target_:os.system}",
    "{zip: {surrogate: [atan, triangle], seed: [0]}}",
    "{list: ['rule=bptt', 'rule']}",
    "{random: {count: 2, ranges: {optimizer.lr: {low: 1, high: 0}}}}",
    "{sobol: 3}",
    "'quoted'",
    "'open",
    '"a b"',
    "\\",
    "a\\,b",
    "${seed}",
    "${nothing}",
    "${group}",
    "${decay:1}",
    "${formula:'1/0'}",
    "${oc.env:HOME}",
    "${",
    "???",
    "true",
    "yes",
    "null",
    "~",
    "MULTIRUN",
    "RUN",
    "reference",
    "cuda",
    "default",
    "disabled",
    "replicas",
    "basic",
    "planned",
    "slurm",
    LONG,
    "\udcff",
    "\u00e4",
    "\x1b[31m",
    "a=b",
    "=",
    " ",
)
SIGNS = ("", "", "", "", "", "+", "++", "~")
HYDRA_COMMANDS = ("run", "sweep", "tune", "diagnose", "completion")
HYDRA_FLAGS = (
    "-m",
    "--multirun",
    "--cfg",
    "--cfg=job",
    "--info",
    "--info=all",
    "--resolve",
    "-p",
    "--package=neuron",
    "--hydra-help",
    "--config-dir",
    "--config-dir=here",
    "--config-dir=loop",
    f"--config-dir={LONG}",
    "--config-dir=text.txt",
    "--allow-target",
    "--allow-target=os.system",
    "--allow-env",
    "--json",
    "--plot",
    "--plot=x.png",
    "--plot=folder.png",
    "--plot=loop/x.png",
    "--root=here",
    "--root=loop",
    "--by=random",
    "--trials=1",
    "--fast",
    "-x",
    "--",
)


def furnish(folder: Path) -> None:
    """Lay out what the paths name: files of wrong kinds, links to themselves, and names that are too long."""
    (folder / "here" / "run").mkdir(parents=True)
    for name in ("folder.png", "folder.json"):
        (folder / name).mkdir()
    texts = {
        "here/run/record.json": "{}",
        "text.txt": "words\n",
        "text.png": "words\n",
        "empty": "",
        "empty.json": "",
        "list.json": "[1, 2]",
        "deep.json": "[" * 100_000,
        "deep.yaml": "[" * 5000,
        "odd.yaml": "_target_: os.system\nmeta: 3\nsamples: [1\n",
        "p\u00e4th": "",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    np.savez(folder / "numbers.npz", x=np.arange(60.0).reshape(10, 3, 2), y=np.array([0, 1] * 5))
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nowhere/else")


def lines(seed: int, count: int) -> Iterator[list[str]]:
    """Yield random command lines, each command about as often as another."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    commands = list(_leaves(parser(), []))
    for _ in range(count):
        words, leaf = draw.choice([*commands, *(([name], None) for name in HYDRA_COMMANDS for _ in range(5))])
        line = [*words, *(_words_of_hydra(words[0], draw) if leaf is None else _words_of(leaf, draw))]
        if draw.random() < 0.1:
            line.insert(draw.randrange(len(line) + 1), draw.choice((*ODD_PATHS, *NAMES, "--help", "--json")))
        if draw.random() < 0.05 and line:
            line.pop(draw.randrange(len(line)))
        yield line


def _leaves(top: argparse.ArgumentParser, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    inner = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield words, top
    for action in inner:
        for name, below in action.choices.items():
            if [*words, name][0] not in HYDRA_COMMANDS:
                yield from _leaves(below, [*words, name])


def _words_of(leaf: argparse.ArgumentParser, draw: random.Random) -> list[str]:
    words: list[str] = []
    for action in leaf._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if action.option_strings:
            if action.required or draw.random() < 0.25:
                words += [draw.choice(action.option_strings), *_values(action, draw)]
        else:
            words = [*_values(action, draw), *words] if draw.random() < 0.5 else [*words, *_values(action, draw)]
    return words


def _values(action: argparse.Action, draw: random.Random) -> list[str]:
    if action.nargs == 0:
        return []
    some = {None: 1, "?": draw.choice((0, 1)), "*": draw.choice((0, 1, 2)), "+": draw.choice((1, 2))}
    count = action.nargs if isinstance(action.nargs, int) else some.get(action.nargs, 1)
    return [_value(action, draw) for _ in range(count)]


def _value(action: argparse.Action, draw: random.Random) -> str:
    if action.choices is not None and draw.random() < 0.8:
        return str(draw.choice(list(action.choices)))
    if action.type in (int, float) and draw.random() < 0.8:
        return draw.choice(NUMBERS)
    if action.type is Path and draw.random() < 0.9:
        return draw.choice(ODD_PATHS)
    return draw.choice(draw.choice((ODD_PATHS, NAMES, NUMBERS, VALUES)))


def _words_of_hydra(command: str, draw: random.Random) -> list[str]:
    first: Sequence[str] = {
        "sweep": ("quickstart", "show", "status", "show quickstart", "nothing", "group=x", LONG, "-"),
        "diagnose": ("here/run", "text.txt", "loop", "experiment=digits", "loop/x", LONG, ""),
        "completion": ("bash", "zsh", "--line", "nothing"),
    }.get(command, ("",))
    words = [word for word in draw.choice(first).split(" ") if word]
    for _ in range(draw.choice((0, 1, 1, 2, 2, 3, 4))):
        if draw.random() < 0.25:
            words.append(draw.choice((*HYDRA_FLAGS, *ODD_PATHS)))
        else:
            words.append(f"{draw.choice(SIGNS)}{draw.choice(KEYS)}={draw.choice(draw.choice((VALUES, ODD_PATHS)))}")
    if command in ("run", "tune") and draw.random() < 0.3:
        words.insert(0, "-m")
    return words
