"""`sgbench calibrate`: the width at which a recurrent network passes its gradient on through a few steps."""

import argparse
import sys
from pathlib import Path
from typing import Any

from sgbench.cli.common import answer, shared_options
from sgbench.errors import printable

EPILOG = """examples:
  sgbench calibrate experiment=fsdd_v2 surrogate=triangle
  sgbench calibrate experiment=fsdd_v2 neuron.reset_gradient=detached --target 1
  sgbench run experiment=fsdd_v2 neuron.reset_gradient=attached width_fwhm=auto

It prints the words of reset, surrogate and width; `run` with width_fwhm=auto calibrates and then trains. The reset \
is attached to the gradient unless an override says otherwise, as `sgbench recommend` advises.
The width is measured in one forward pass before training, with the weights and training data of the first tuning \
seed; no seed that reports takes part. Passing steps are the surrogate's slopes, over its peak, summed along a \
sequence and averaged over neurons and samples. Several recurrent layers have one width, by their mean."""


RESET = "reset_gradient"


def register(commands: Any) -> None:
    parser = commands.add_parser(
        "calibrate",
        help="the width of a recurrent network's surrogate, from one batch before training",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared_options(),
    )
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE", help="of a run, e.g. experiment=fsdd_v2")
    parser.add_argument("--target", type=float, metavar="S", help="passing steps (default: by the reset's gradient)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    parser.set_defaults(handler=calibrate_command)


def calibrate_command(args: argparse.Namespace) -> int:
    """Print reset, surrogate and calibrated width as overrides, and on standard error what was measured."""
    from sgbench.composition.compose import compose
    from sgbench.yours.calibrate import calibrate

    overrides = args.overrides if args.data_dir is None else [*args.overrides, f"paths.data_dir={args.data_dir}"]
    own = compose(overrides, config_dirs=args.config_dir, allow_targets=args.allow_target).method
    if RESET in own.parameters["neuron"] and not any(word.startswith(f"neuron.{RESET}=") for word in overrides):
        overrides = [*overrides, f"neuron.{RESET}=attached"]
    found = calibrate(*overrides, target=args.target, config_dirs=args.config_dir, allow_targets=args.allow_target)
    reset = [f"neuron.{RESET}={found.reset_gradient}"] if RESET in own.parameters["neuron"] else []
    words = [*reset, f"surrogate={own.choices['surrogate']}", found.word]
    answer(args, {**found.model_dump(mode="json"), "words": words}, " ".join(words))
    if not args.json:
        sys.stderr.write(f"{printable(found.about)}\n")
    return 0
