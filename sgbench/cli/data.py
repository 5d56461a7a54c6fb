"""`sgbench data list|add|download|make|check|confirm|show ...`: list, fetch, check and draw data sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, check_picture, print_lines, screen, shared_options
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.paths import default_data_dir
from sgbench.tables import aligned

if TYPE_CHECKING:
    from sgbench.datasets.base import DataSet, Samples, Split

SPLITS = ("train", "validation", "test")


def register(commands: Any) -> None:
    top = commands.add_parser("data", help="data sets: list, fetch, check and draw them")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = commands.add_parser(
        "list", help="all data sets, their size and licence, and whether they are here", parents=shared_options()
    )
    listing.set_defaults(handler=list_data)
    own = shared_options(machine=False)
    fetching = commands.add_parser("download", help="fetch originals from where they are published", parents=own)
    fetching.add_argument("names", nargs="+", metavar="NAME", help="e.g. shd")
    fetching.set_defaults(handler=download_data)
    making = commands.add_parser(
        "make", help="make the files of a data set that this machine can make itself", parents=own
    )
    making.add_argument("name", metavar="NAME", help="e.g. spoken_twin")
    making.add_argument("--first", type=int, metavar="N", help="so many samples of each file, to try something")
    making.set_defaults(handler=make_data)
    checking = commands.add_parser("check", help="load data sets and compare them with what is published", parents=own)
    checking.add_argument("names", nargs="+", metavar="NAME", help="e.g. yin_yang")
    checking.set_defaults(handler=check_data)
    summing = commands.add_parser(
        "checksum", help="print the SHA-256 that belongs into meta.sha256 of an entry", parents=own
    )
    summing.add_argument("name", metavar="NAME", help="e.g. digits")
    summing.set_defaults(handler=print_checksum)
    showing = commands.add_parser(
        "show",
        help="facts of one data set, and a picture of some samples",
        parents=shared_options(machine=False, picture="rasters, traces or images with classes"),
    )
    showing.add_argument("name", metavar="NAME", help="e.g. randman")
    showing.add_argument("--split", choices=SPLITS, default="train", help="from which split (train)")
    showing.add_argument("--samples", type=int, default=6, metavar="N", help="how many samples to draw (6)")
    showing.set_defaults(handler=show_data)
    _add_own(commands)
    for command in (
        listing,
        fetching,
        making,
        checking,
        summing,
        showing,
        _add_prepare(commands),
        _add_confirm(commands),
    ):
        command.add_argument("--data-dir", type=Path, default=None, help="where files lie ($SGBENCH_DATA)")


def data_root(args: argparse.Namespace) -> Path:
    return default_data_dir() if args.data_dir is None else args.data_dir


def list_data(args: argparse.Namespace) -> int:
    """Answer `sgbench data list`: size, licence and state of each data set."""
    datasets = [_data_set_facts(entry, args) for entry in catalogue.entries("dataset", args.config_dir).values()]
    rows = [["name", "samples", "target", "licence", "here", "what"]]
    for facts in datasets:
        sizes = "+".join(str(facts["sizes"].get(split) or "?") for split in SPLITS)
        per_step = " a step" if facts["target"] == "class_per_step" else ""
        target = f"{facts['classes']} classes{per_step}" if "class" in facts["target"] else facts["target"]
        rows.append([facts["name"], sizes, target, facts["licence"], facts["state"], facts["line"]])
    entry_lines = [
        f"data root: {data_root(args)} (paths.data_dir, $SGBENCH_DATA)",
        "",
        *aligned(rows, text_columns=len(rows[0]), width=screen(args)),
    ]
    tree = {"data_dir": str(data_root(args)), "datasets": datasets}
    return answer(args, tree, "\n".join([*entry_lines, *_lines_on_missing(datasets)]))


def _lines_on_missing(datasets: list[dict[str, Any]]) -> list[str]:
    """Write a line for each way to get missing files, with the data sets that need it."""
    names: dict[str, list[str]] = {}
    for facts in datasets:
        if facts["get"]:
            names.setdefault(f"({facts['download']}): {facts['get']}", []).append(facts["name"])
    return [f"\n{', '.join(names_of_one)} {text}" for text, names_of_one in names.items()]


def _data_set_facts(entry: catalogue.Entry, args: argparse.Namespace) -> dict[str, Any]:
    """Map the keys of --json to the facts about a data set; "get" is how to get missing files, or None."""
    meta = entry.meta
    origin = meta.get("origin", "generated")
    get = make_data_set(entry, args).missing(data_root(args)) if origin == "files" else None
    states = {"files": "absent" if get else "present"}
    return {
        "name": entry.name,
        "line": entry.line,
        "origin": origin,
        "download": meta.get("download"),
        "licence": str(meta.get("licence", "")),
        "sources": meta.get("sources", []),
        "target": meta.get("target", "class"),
        "classes": meta.get("classes"),
        "sizes": meta.get("sizes") or {},
        "sha256": meta.get("sha256"),
        "state": ", ".join(
            [states.get(str(origin), str(origin)), *(["original never read here"] if "original" in meta else [])]
        ),
        "get": get,
    }


def make_data_set(entry: catalogue.Entry, args: argparse.Namespace) -> DataSet:
    """Build a data set from its entry; a whole run is composed only if the entry refers to other groups."""
    from sgbench.training.build import construct
    from sgbench.training.creation import create

    if "${" in str(entry.parameters) or not catalogue.CatalogueReader(allow_targets=args.allow_target).allows(entry):
        folders, targets = args.config_dir, args.allow_target
        return create(f"dataset/{entry.name}", config_dirs=folders, allow_targets=targets)
    return construct("dataset", str(entry.target), entry.parameters)


def download_data(args: argparse.Namespace) -> int:
    """Answer `sgbench data download`: fetch the files that are not here yet."""
    from sgbench.datasets.download import fetch

    for name in args.names:
        dataset: Any = make_data_set(catalogue.entry("dataset", name, args.config_dir), args)
        missing = dataset.missing(data_root(args))
        if missing is None and dataset.origin == "files":
            sys.stdout.write(f"{name}: is here already\n")
            continue
        if not getattr(dataset, "downloads", ()):
            raise InputError(f"data set {name}: nothing is fetched for it; {missing or 'it needs no download'}")
        for line in fetch(dataset, data_root(args)):
            sys.stdout.write(f"{line}\n")
    return 0


def make_data(args: argparse.Namespace) -> int:
    """Generate the files of a data set; with --first, print how to use the part that was made."""
    from sgbench.datasets.spoken_twin import SpokenTwin
    from sgbench.training.creation import create

    parts = {} if args.first is None else {"first": args.first}
    entry = catalogue.entry("dataset", args.name, args.config_dir)
    if entry.target != f"{SpokenTwin.__module__}.{SpokenTwin.__qualname__}":
        raise InputError(f"data set {args.name}: nothing makes its files; see sgbench data list")
    folders, targets = args.config_dir, args.allow_target
    dataset = create(f"dataset/{args.name}", config_dirs=folders, allow_targets=targets, **parts)
    for line in dataset.make(data_root(args)):
        sys.stdout.write(f"{line}\n")
    if args.first is not None:
        sys.stdout.write(f"use it with dataset.first={args.first}\n")
    return 0


def check_data(args: argparse.Namespace) -> int:
    """Answer `sgbench data check`: load data sets, compare checksums and print their sizes."""
    for name in args.names:
        dataset, splits, sha256 = load_data_set(name, args)
        sizes = ", ".join(f"{split} {len(splits[split].target)}" for split in SPLITS)
        checksum = "checksum right" if dataset.sha256 else f"checksum {sha256[:12]}, none is published"
        sys.stdout.write(f"{name}: {sizes}; {checksum}\n")
    return 0


def print_checksum(args: argparse.Namespace) -> int:
    """Answer `sgbench data checksum`, for the entry of a new data set."""
    from sgbench.datasets.checks import check

    dataset = make_data_set(catalogue.entry("dataset", args.name, args.config_dir), args)
    dataset.sha256 = None  # so that it is computed and not compared
    sys.stdout.write(f"{check(dataset, dataset.load(data_root(args)))}\n")
    return 0


def load_data_set(name: str, args: argparse.Namespace) -> tuple[DataSet, dict[Split, Samples], str]:
    from sgbench.datasets.checks import check

    dataset = make_data_set(catalogue.entry("dataset", name, args.config_dir), args)
    splits = dataset.load(data_root(args))
    return dataset, splits, check(dataset, splits)


def show_data(args: argparse.Namespace) -> int:
    """Answer `sgbench data show`: facts of a data set, and a picture of some samples."""
    check_picture(args)
    if args.samples < 1:
        raise InputError(f"--samples {args.samples}: at least 1 is needed")
    entry = catalogue.entry("dataset", args.name, args.config_dir)
    dataset, splits, sha256 = load_data_set(args.name, args)
    from sgbench.datasets.checks import summary_rows

    rows = [["what", entry.line], ["source", dataset.source], ["licence", dataset.licence]]
    rows += [["parameters", ", ".join(f"{key}={value}" for key, value in entry.parameters.items()) or "none"]]
    rows += [*summary_rows(dataset, splits), ["sha256", sha256]]
    print_lines(aligned(rows, text_columns=2, width=screen(args)))
    if args.plot is not None:
        from sgbench.plots.entries.samples import draw

        draw(args.name, dataset, splits[args.split], args.split, args.plot, count=args.samples)
        print_lines(f"picture: {args.plot}")
    return 0


def _add_confirm(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    confirming = commands.add_parser(
        "confirm",
        help="write sizes and checksums of original files that no maintainer has read, to submit",
        parents=shared_options(machine=False),
    )
    confirming.add_argument("name", metavar="NAME", help="e.g. shd")
    confirming.add_argument("--contact", required=True, metavar="WHO", help="whom to ask, e.g. an address")
    confirming.add_argument("--to", type=Path, metavar="FILE", help="default: NAME.confirmation.json")
    confirming.add_argument("--into", dest="to", type=Path, help=argparse.SUPPRESS)
    confirming.set_defaults(handler=confirm_data)
    return confirming


def confirm_data(args: argparse.Namespace) -> int:
    """Write a file with sizes and checksums of a data set's original files, for a maintainer to accept."""
    from sgbench.datasets.confirm import confirm
    from sgbench.records.files import to_json, write_atomic

    entry = catalogue.entry("dataset", args.name, args.config_dir)
    found = confirm(entry, make_data_set(entry, args), data_root(args), args.contact)
    path = args.to or Path(f"{args.name}.confirmation.json")
    write_atomic(path, to_json(found))
    print_lines(
        f"{path}: {len(found.files)} files, sha256 {found.sha256[:12]}; hand it in with an issue or pull request"
    )
    return 0


def _add_prepare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    preparing = commands.add_parser(
        "prepare",
        help="write recorded words as spikes, in the HDF5 layout of the Heidelberg data sets",
        parents=shared_options(machine=False),
    )
    preparing.add_argument("name", metavar="NAME", help="e.g. fsdd")
    preparing.add_argument("--to", type=Path, required=True, metavar="DIR", help="where NAME_SPLIT.h5 are put")
    preparing.set_defaults(handler=prepare)
    return preparing


def prepare(args: argparse.Namespace) -> int:
    """Answer `sgbench data prepare`: write spoken words as spikes in HDF5, one file a split."""
    from sgbench.datasets.formats.spike_hdf5 import write
    from sgbench.datasets.spoken import Spoken

    entry = catalogue.entry("dataset", args.name, args.config_dir)
    dataset = make_data_set(entry, args)
    if not isinstance(dataset, Spoken):
        raise InputError(f"dataset '{args.name}': is not made of recorded words, so there is nothing to prepare")
    _, splits, _ = load_data_set(args.name, args)
    for split, recordings in dataset.utterances(data_root(args) / dataset.folder).items():
        path = args.to / f"{args.name}_{split}.h5"
        write(
            path,
            splits[split],
            words=dataset.words,
            speakers=[recording.speaker for recording in recordings],
            numbers=[recording.number for recording in recordings],
        )
        sys.stdout.write(f"{path}: {len(recordings)} samples\n")
    return 0


def _add_own(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    adding = commands.add_parser("add", help="make an entry, an experiment and a protocol of data of your own")
    adding.add_argument("name", metavar="NAME", help="yours to choose, e.g. my_gestures")
    files = "arrays x and y; or sample, time and channel of each spike, and y; groups if there are any"
    adding.add_argument("train", type=Path, nargs="?", metavar="TRAIN.npz", help=files)
    adding.add_argument("test", type=Path, nargs="?", metavar="TEST.npz", help="default: a fifth of training")
    adding.add_argument("--tonic", metavar="SET", help="a data set of tonic, e.g. SHD (tonic is GPL-3.0-only)")
    adding.add_argument("--validation", type=Path, metavar="FILE.npz", help="default: a fifth of training")
    adding.add_argument(
        "--groups", metavar="ARRAY", help="who was recorded, e.g.; no group is divided (groups, if it is there)"
    )
    adding.add_argument("--time-unit", choices=("s", "ms", "us"), default="s", help="of times of spikes (s)")
    adding.add_argument("--dt-s", type=float, metavar="S", help="duration of a step in seconds")
    adding.add_argument("--encoder", metavar="NAME", help="see: sgbench list encoder")
    adding.add_argument("--hidden", type=int, nargs="+", default=[64], metavar="N", help="neurons a layer (64)")
    adding.add_argument("--epochs", type=int, metavar="N", help="default: about a thousand updates")
    adding.add_argument("--batch-size", type=int, default=32, metavar="N", help="samples a batch (32)")
    adding.add_argument("--data-dir", type=Path, help="where samples are kept ($SGBENCH_DATA)")
    adding.set_defaults(handler=add_own)


def add_own(args: argparse.Namespace) -> int:
    """Answer `sgbench data add`: make an entry and an experiment of the user's arrays or of a set of tonic."""
    from sgbench.datasets.tonic_sets import parts_of_tonic
    from sgbench.yours.arrays import read_part
    from sgbench.yours.benchmark import write_entry_for
    from sgbench.yours.entry import Terms, entry_lines

    if (args.tonic is None) == (args.train is None):
        raise InputError("data add: give TRAIN.npz (and TEST.npz), or --tonic SET")
    groups = None
    if args.tonic is not None and args.groups is not None:
        raise InputError("data add: --groups names an array of TRAIN.npz, so it does not go with --tonic")
    if args.tonic is not None:
        opened = parts_of_tonic(args.tonic, data_root(args) / "tonic")
        parts = [opened.get(split) for split in ("train", "test", "validation")]
    else:
        train, groups = read_part(args.train, args.groups)
        parts = [train, *(None if path is None else read_part(path)[0] for path in (args.test, args.validation))]
    terms = Terms(hidden=tuple(args.hidden), epochs=args.epochs, batch_size=args.batch_size, encoder=args.encoder)
    added = write_entry_for(
        args.name, *parts, groups=groups, dt_s=args.dt_s, time_unit=args.time_unit, terms=terms, data_dir=args.data_dir
    )
    sys.stdout.write("\n".join([f"experiment={added.name}", *entry_lines(added), "", "next:", *added.commands]) + "\n")
    return 0
