"""`sgbench recommend`: which surrogate, width and settings to take for a network, and how sure that is."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from sgbench.cli.common import answer, shared
from sgbench.errors import InputError

GOALS = ("accuracy", "spikes", "safety")
EPILOG = """examples:
  sgbench recommend experiment=digits                          # builds the network and measures how it starts
  sgbench recommend experiment=mine --config-dir my_conf --for spikes --budget 6
  sgbench recommend --layers 4 --steps 100 --start-spikes 9,4,1,0.2
  sgbench recommend --layers 1 --recurrent --steps 80"""


def register(commands: Any) -> None:
    """Add the command `recommend` to the parser."""
    parser = commands.add_parser(
        "recommend",
        help="which surrogate and width to take for a network, from the study",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared(),
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="of a run, e.g. experiment=digits")
    parser.add_argument("--for", dest="goal", choices=GOALS, default="accuracy", help="what counts")
    parser.add_argument("--budget", type=int, default=3, metavar="N", help="settings to try (default: 3)")
    parser.add_argument("--layers", type=int, metavar="N", help="hidden layers, in place of words")
    parser.add_argument("--recurrent", action="store_true", help="neurons of a layer hear each other")
    parser.add_argument("--steps", type=int, default=100, metavar="T", help="time steps (default: 100)")
    parser.add_argument(
        "--start-spikes", metavar="LIST", help="spikes a neuron sends before training, by layer, e.g. 9,4,1"
    )
    parser.add_argument("--summary", type=Path, metavar="FILE", help="of another study than the shipped one")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    parser.set_defaults(handler=recommend)


def recommend(args: argparse.Namespace) -> int:
    """Print the recommended surrogate, width and settings."""
    from sgbench.recommendation.recommend import recommend as recommended
    from sgbench.recommendation.recommend import recommend_shape
    from sgbench.recommendation.summary import Shape

    if bool(args.words) == (args.layers is not None):
        raise InputError(
            "name the words of a run, e.g. experiment=digits, or --layers of a network of your own"
        )
    if args.words:
        words = args.words if args.data_dir is None else [*args.words, f"paths.data_dir={args.data_dir}"]
        found = recommended(
            *words,
            goal=args.goal,
            budget=args.budget,
            config_dirs=args.config_dir,
            allow_targets=args.allow_target,
            summary=args.summary,
        )
    else:
        if args.layers < 1 or args.steps < 1:
            raise InputError(f"--layers {args.layers} --steps {args.steps}: 1 or more are needed")
        spikes = None if args.start_spikes is None else _numbers(args.start_spikes, args.layers)
        shape = Shape(layers=args.layers, recurrent=args.recurrent, steps=args.steps, start_spikes=spikes)
        found = recommend_shape(shape, goal=args.goal, budget=args.budget, summary=args.summary)
    return answer(args, found.tree, found.lines)


def _numbers(text: str, layers: int) -> tuple[float, ...]:
    """Read a list of numbers, one a layer."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != layers or not all(0 <= number < float("inf") for number in numbers):
        raise InputError(
            f"--start-spikes {text}: {layers} numbers of 0 or more are needed, one a hidden layer"
        )
    return numbers
