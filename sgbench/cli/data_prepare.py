"""`sgbench data prepare`: spoken words as spikes, in files that other programs read."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sgbench.composition import catalogue
from sgbench.errors import InputError


def add(words: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the subcommand."""
    preparing = words.add_parser(
        "prepare", help="write recorded words as spikes, in the HDF5 layout of the Heidelberg data sets"
    )
    preparing.add_argument("name", metavar="NAME", help="e.g. fsdd")
    preparing.add_argument(
        "--to", type=Path, required=True, metavar="DIR", help="where NAME_SPLIT.h5 are put"
    )
    preparing.set_defaults(handler=prepare)
    return preparing


def prepare(args: argparse.Namespace) -> int:
    """Write a file for each split.

    Raises:
        InputError: not a data set of recorded words, h5py is not installed, or a recording is damaged or missing.
        StorageError: a file cannot be written.
    """
    from sgbench.cli.data import load, make, root
    from sgbench.datasets.formats.spike_hdf5_writer import write
    from sgbench.datasets.spoken import Spoken

    entry = catalogue.entry("dataset", args.name, args.config_dir)
    made = make(entry, args)
    if not isinstance(made, Spoken):
        raise InputError(
            f"dataset '{args.name}': is not made of recorded words, so there is nothing to prepare"
        )
    _, splits, _ = load(args.name, args)
    for split, own in made.utterances(root(args) / made.folder).items():
        path = args.to / f"{args.name}_{split}.h5"
        write(
            path,
            splits[split],
            words=made.words,
            speakers=[each.speaker for each in own],
            numbers=[each.number for each in own],
        )
        sys.stdout.write(f"{path}: {len(own)} samples\n")
    return 0
