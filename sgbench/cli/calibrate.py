"""`sgbench calibrate`: the width at which a recurrent network passes its gradient on through a few steps."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sgbench.cli.common import answer, shared_options
from sgbench.errors import printable

EPILOG = """examples:
  sgbench calibrate experiment=fsdd_v2 surrogate=triangle        # prints width_fwhm=NUMBER
  sgbench calibrate experiment=fsdd_v2 neuron.reset_gradient=attached --target 3
  sgbench run experiment=fsdd_v2 width_fwhm=auto                 # the same, and then the run

The width is measured in one forward pass before training, with the weights and training data of the first tuning
seed; no seed that reports takes part. Passing steps are the surrogate's slopes, over its peak, summed along a
sequence and averaged over neurons and samples. Several recurrent layers have one width, by their mean."""


def register(commands: Any) -> None:
    """Add the command `calibrate` to the parser."""
    parser = commands.add_parser(
        "calibrate",
        help="the width of a recurrent network's surrogate, from one batch before training",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=shared_options(),
    )
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDE", help="of a run, e.g. experiment=fsdd_v2")
    parser.add_argument(
        "--target", type=float, metavar="S", help="passing steps (default: by the reset's gradient)"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where files of data sets lie")
    parser.set_defaults(handler=calibrate_command)


def calibrate_command(args: argparse.Namespace) -> int:
    """Print the calibrated width as a Hydra override, and on standard error what was measured."""
    from sgbench.yours.calibrate import calibrate

    overrides = (
        args.overrides if args.data_dir is None else [*args.overrides, f"paths.data_dir={args.data_dir}"]
    )
    found = calibrate(
        *overrides, target=args.target, config_dirs=args.config_dir, allow_targets=args.allow_target
    )
    answer(args, found.model_dump(mode="json"), found.word)
    if not args.json:
        sys.stderr.write(f"{printable(found.about)}\n")
    return 0
