"""`sgbench recommend`: the surrogate, width and settings to use for a network, and how sure the advice is."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgbench.cli.common import answer, check_picture, shared_options
from sgbench.errors import InputError

GOALS = ("accuracy", "spikes", "safety")
EPILOG = """examples:
  sgbench recommend experiment=digits    # builds the network and measures it
  sgbench recommend experiment=mine --config-dir my_conf --for spikes --budget 6
  sgbench recommend --layers 4 --steps 100 --start-spikes 9,4,1,0.2
  sgbench recommend --layers 1 --recurrent --steps 80 --why
  sgbench recommend --target loihi1 --max-nj 50 --min-accuracy 90    # on a chip"""
SHAPE_OPTIONS = ("recurrent", "steps", "start_spikes")
"""Attributes of options that describe a network, in place of overrides."""
BUDGET_OPTIONS = ("max_nj", "min_accuracy", "bits", "run", "plot")
"""Attributes of options for advice under a budget of energy."""
WITHOUT_TARGET = ("layers", *SHAPE_OPTIONS, "goal", "budget", "summary", "data_dir", "why")
"""Attributes of options that do not go with --target."""


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "recommend",
        help="which surrogate and width to take for a network, from the study",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared_options(picture="accuracy against energy of the measured settings, with --target"),
    )
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="of a run, e.g. experiment=digits")
    parser.add_argument("--for", dest="goal", choices=GOALS, help="what counts (default: accuracy)")
    parser.add_argument("--budget", type=int, metavar="N", help="most settings to try (default: 3)")
    parser.add_argument("--why", action="store_true", help="add what was measured and what the advice rests on")
    parser.add_argument("--layers", type=int, metavar="N", help="hidden layers, in place of overrides")
    parser.add_argument("--recurrent", action="store_true", help="hidden layers are recurrent")
    parser.add_argument("--steps", type=int, metavar="T", help="time steps (default: 100)")
    parser.add_argument(
        "--start-spikes", metavar="LIST", help="spikes a neuron sends before training, by layer, e.g. 9,4,1"
    )
    parser.add_argument("--summary", type=Path, metavar="FILE", help="with another answer than the shipped one")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    _add_budget(parser)
    parser.set_defaults(handler=recommend)


def _add_budget(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("under a budget of energy")
    group.add_argument("--target", metavar="NAME", help="price list, e.g. loihi1; sgbench energy list names all")
    group.add_argument("--max-nj", type=float, metavar="E", help="most dynamic energy of an inference [nJ]")
    group.add_argument("--min-accuracy", type=float, metavar="P", help="least accuracy [%%]")
    group.add_argument("--bits", type=int, metavar="N", help="most bits of a weight (default: the target's)")
    group.add_argument(
        "--run", type=Path, metavar="RUN_DIR", help="a finished run of yours, of real weights, to start from"
    )


def recommend(args: argparse.Namespace) -> int:
    """Print the recommended surrogate, width and settings."""
    if args.target is not None:
        return _recommend_under_budget(args)
    _refuse(args, BUDGET_OPTIONS, "needs --target, e.g. --target loihi1")
    from sgbench.recommendation.recommend import recommend as recommended
    from sgbench.recommendation.recommend import recommend_shape
    from sgbench.recommendation.summary import Shape

    if bool(args.overrides) == (args.layers is not None):
        raise InputError("give the overrides of a run, e.g. experiment=digits, or --layers of a network of your own")
    goal, budget = args.goal or GOALS[0], 3 if args.budget is None else args.budget
    if args.overrides:
        _refuse(args, SHAPE_OPTIONS, "describes a network given by --layers; give --layers in place of overrides")
        overrides = args.overrides if args.data_dir is None else [*args.overrides, f"paths.data_dir={args.data_dir}"]
        found = recommended(
            *overrides,
            goal=goal,
            budget=budget,
            config_dirs=args.config_dir,
            allow_targets=args.allow_target,
            summary=args.summary,
        )
    else:
        _refuse(args, ("data_dir",), "is of a run; give its overrides in place of --layers")
        steps = 100 if args.steps is None else args.steps
        if args.layers < 1 or steps < 1:
            raise InputError(f"--layers {args.layers} --steps {steps}: 1 or more are needed")
        spikes = None if args.start_spikes is None else _parse_spikes(args.start_spikes, args.layers)
        shape = Shape(layers=args.layers, recurrent=args.recurrent, steps=steps, start_spikes=spikes)
        found = recommend_shape(shape, goal=goal, budget=budget, summary=args.summary)
    return answer(args, found.tree, [*found.lines, *(found.why if args.why else ())])


def _recommend_under_budget(args: argparse.Namespace) -> int:
    """Print the settings with which a network meets a budget of energy on a target."""
    from sgbench.recommendation.budget_advice import tree_of
    from sgbench.recommendation.recommend import recommend

    measured = "--target answers from measured runs; name a finished run of yours with --run"
    if args.overrides:
        raise InputError(f"{args.overrides[0]}: {measured}")
    _refuse(args, WITHOUT_TARGET, measured)
    check_picture(args)
    advice = recommend(
        target=args.target,
        max_nj=args.max_nj,
        min_accuracy=args.min_accuracy,
        bits=args.bits,
        run=args.run,
        config_dirs=args.config_dir,
    )
    return answer(args, tree_of(advice), advice.lines, advice.figure)


def _refuse(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    for name in names:
        value = getattr(args, name)
        if value is not None and value is not False:
            option = {"goal": "for"}.get(name, name).replace("_", "-")
            raise InputError(f"--{option}: {why}")


def _parse_spikes(text: str, layers: int) -> tuple[float, ...]:
    """Read the spikes before training, one number for each hidden layer."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != layers or not all(0 <= number < float("inf") for number in numbers):
        raise InputError(f"--start-spikes {text}: {layers} numbers of 0 or more are needed, one a hidden layer")
    return numbers
