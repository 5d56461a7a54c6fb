"""`sgbench doctor`: report what is installed, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.cli.common import answer, screen, shared_options
from sgbench.errors import InputError
from sgbench.paths import conf_dir, default_data_dir, default_runs_dir, processors

if TYPE_CHECKING:
    from sgbench.training.forecast import Clock, Forecast

OPTIONAL_MODULES = {"h5py": "events", "tonic": "tonic"}
SUBMITIT_PLUGIN = "hydra_plugins.hydra_submitit_launcher"


def register(commands: Any) -> None:
    command = commands.add_parser(
        "doctor", help="versions, devices, data, engines; what is missing", parents=shared_options()
    )
    command.add_argument(
        "--for",
        dest="overrides",
        nargs="+",
        metavar="OVERRIDE",
        help="overrides of a run, e.g. experiment=shd_v2: predict time and memory of an epoch from some batches",
    )
    command.set_defaults(handler=doctor)


def doctor(args: argparse.Namespace) -> int:
    """Print the report on the installation; return 1 if something needed is missing.

    With the overrides of a run, print the expected time and memory of its epochs instead.
    """
    if args.overrides:
        return print_forecast(args)
    report = collect_report()
    answer(args, report, report_text(report, screen(args)).removesuffix("\n"))
    return 1 if report["problems"] else 0


def print_forecast(args: argparse.Namespace) -> int:
    """Print the time and memory that an epoch of the run in `args.overrides` takes, estimated from some batches."""
    from dataclasses import asdict

    from sgbench.composition.compose import compose
    from sgbench.training.calibration import calibrate
    from sgbench.training.forecast import forecast

    spec = calibrate(compose(args.overrides, config_dirs=args.config_dir, allow_targets=args.allow_target))
    found = forecast(spec)
    return answer(args, asdict(found), forecast_lines(found))


def forecast_lines(found: Forecast) -> list[str]:
    """Write a forecast: time of an epoch and of the run, and memory."""

    def duration_text(clock: Clock) -> str:
        return f"{clock.wall_s:.3g} s ({clock.cpu_s:.3g} s of processor time)"

    counted = [f"{found.measured[split]} of {found.samples[split]} {split}" for split in found.measured]
    memory = "unknown on this system" if found.peak_bytes is None else f"{found.peak_bytes / 2**30:.2f} GiB"
    return [
        f"engine     {found.engine}",
        f"measured   {' and '.join(counted)} samples",
        f"training   {duration_text(found.measured_train)}; validation {duration_text(found.measured_validation)}",
        f"an epoch   {duration_text(found.epoch)}; the first one {duration_text(found.first_epoch)}",
        f"a run      {duration_text(found.run)} of {found.epochs} epochs, without the test",
        f"memory     {memory} of the process at most",
    ]


def collect_report() -> dict[str, Any]:
    """Collect the report on the installation; maps the keys of --json to facts, "problems" to lines."""
    from sgbench.training.provenance import processor, versions

    installed = versions()
    problems = [f"{name} is not installed: pip install {name}" for name, v in installed.items() if v == "missing"]
    report: dict[str, Any] = {
        "python": sys.version.split()[0],
        "versions": installed,
        "extras": {name: _installation_text(name, extra) for name, extra in OPTIONAL_MODULES.items()},
        "places of sweeps": _sweep_places(),
        "processor": processor(),
        "cores": processors(),
        "conf_dir": str(conf_dir()),
        "runs_dir": _folder_state(default_runs_dir(), "SGBENCH_RUNS", problems),
        "data_dir": _folder_state(default_data_dir(), "SGBENCH_DATA", problems),
    }
    if installed["torch"] != "missing":
        report |= {"devices": _list_devices(), "engines": _engine_states(), "data": _data_states(problems)}
    report["problems"] = problems
    return report


def _installation_text(module: str, extra: str) -> str:
    import importlib.util

    present = importlib.util.find_spec(module) is not None
    return "installed" if present else f"not installed: pip install 'sgbench[{extra}]'"


def _sweep_places() -> dict[str, str]:
    """Say where sweeps can run: here, on SLURM or on Ray, and what is missing for it."""
    import importlib.util

    has_slurm = shutil.which("sbatch") is not None
    slurm = _installation_text("submitit", "slurm")
    report = {
        "local": "hydra/launcher=replicas",
        "slurm": f"{'found' if has_slurm else 'sbatch is not on the PATH'}; submitit: {slurm}",
        "ray": _installation_text("ray", "ray"),
    }
    if has_slurm and importlib.util.find_spec("hydra_plugins") and importlib.util.find_spec(SUBMITIT_PLUGIN):
        report["which"] = (
            "hydra/launcher=replicas hydra.launcher.on=slurm, many points a job; hydra/launcher=submitit_slurm "
            "starts a process a point, for points that run alone in any case"
        )
    return report


def _folder_state(path: Path, variable: str, problems: list[str]) -> dict[str, Any]:
    """Describe access to a folder or its nearest parent; one that cannot be written adds a line to `problems`."""
    nearest = next(folder for folder in [path.absolute(), *path.absolute().parents] if folder.exists())
    writable = os.access(nearest, os.W_OK)
    if not writable:
        problems.append(f"{path} cannot be written; set {variable} to another folder")
    free_gib = shutil.disk_usage(nearest).free / 2**30
    return {"path": str(path), "writable": writable, "free_gib": round(free_gib, 1), "set_by": variable}


def _list_devices() -> list[str]:
    import torch

    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return ["cpu", *(f"cuda:{k} {name}" for k, name in enumerate(names))]


def _engine_states() -> dict[str, str]:
    """Map each engine, and what `auto` chooses, to "available" or to the reason why leaky neurons cannot run there."""
    import sgbench
    from fastspiking.choose import ENGINES, Engine
    from sgbench.networks.base import DenseLayer

    layers = {
        name: DenseLayer("hidden0", 1, 1, sgbench.create(f"neuron/{name}", surrogate=sgbench.create("surrogate/atan")))
        for name in ("leaky", "adex")
    }
    layer = layers["leaky"]
    chosen = {name: Engine("auto").describe([layer]) for name, layer in layers.items()}
    report = {
        "auto": f"{chosen['leaky'].name}: {chosen['leaky'].reason}",
        "auto, nonlinear neurons": f"{chosen['adex'].name}: {chosen['adex'].reason}",
    }
    for name in ENGINES:
        try:
            Engine(name).describe([layer])
            report[name] = "available"
        except InputError as error:
            report[name] = str(error)
    return report


def _data_states(problems: list[str]) -> dict[str, str]:
    """Map each data set to its state; append damaged ones, but not missing ones, to `problems`."""
    from sgbench.cli.data import make_data_set
    from sgbench.composition.catalogue import entries

    states = {}
    shipped_only = argparse.Namespace(config_dir=(), allow_target=())
    for name, entry in entries("dataset").items():
        if entry.meta.get("origin") == "generated":
            states[name] = "generated when needed"
            continue
        try:
            data_set = make_data_set(entry, shipped_only)
            if data_set.missing(default_data_dir()):
                states[name] = "absent; how to get it: sgbench data list"
                continue
            data_set.verify(data_set.load(default_data_dir()))
            states[name] = "found, checksum right"
        except InputError as error:
            states[name] = str(error)
            problems.append(str(error))
    return states


def report_text(report: dict[str, Any], width: int | None = None) -> str:
    """Write the report on this machine: folders with their space, lists with commas, tables below their key."""
    from sgbench.tables import aligned

    lines = []
    for key, value in report.items():
        if key == "problems":
            continue
        if isinstance(value, dict) and "path" in value:
            access = "writable" if value["writable"] else "NOT writable"
            lines.append(f"{key:<10} {value['path']} ({access}, {value['free_gib']} GiB free; {value['set_by']})")
        elif isinstance(value, dict):
            lines.append(key)
            lines += aligned([[f"  {name}", text] for name, text in value.items()], text_columns=2, width=width)
        else:
            shown = ", ".join(value) if isinstance(value, list) else value
            lines.append(f"{key:<10} {shown}")
    lines += [f"problem: {line}" for line in report["problems"]] or ["no problems found"]
    return "\n".join(lines) + "\n"
