"""`sgbench diagnose`: why a network does or does not learn."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, printable
from sgbench.records.diagnosis import PANELS, Diagnosis, LayerDiagnosis
from sgbench.tables import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.inspection.stored_run import StoredRun

ABOUT = """Diagnose a run or a network that has not been trained, on batches of its validation split.

  sgbench diagnose RUN|WORDS         flow, activity and agreement by layer, and advice
  sgbench diagnose line RUN          loss and surrogate gradient between initial and selected weights
  sgbench diagnose loop RUN|WORDS    integral of the surrogate gradient around closed loops of weights
  sgbench diagnose exact WORDS       a surrogate against the exact gradient, by enumeration of all spikes

RUN is a folder with a record, WORDS are those of a run, e.g. experiment=digits surrogate=triangle.
"""
LAYER_COLUMNS: dict[str, str] = {
    "grad_norm": "|dL/dI|",
    "log_slope_per_step": "ln growth/step",
    "nonzero_parameters": "weights reached",
    "gradient_dead_fraction": "gradient-dead",
    "signal_to_noise": "signal/noise",
    "jacobian_norm": "|J|",
    "jacobian_radius": "radius of J",
    "in_window_fraction": "in window",
    "mean_slope": "mean slope",
    "rate_per_step": "rate/step",
    "dead_fraction": "dead",
    "saturated_fraction": "saturated",
}
AGREEMENT_COLUMNS = ("cosine", "norm_ratio", "sign_agreement", "relative_bias")
COMMANDS = ("line", "loop", "exact")


def diagnose_command(words: Sequence[str]) -> int:
    """Handle `sgbench diagnose WORDS`; returns the exit code."""
    handlers: dict[str, Callable[[Sequence[str]], int]] = {"line": _line, "loop": _loop, "exact": _exact}
    if words and words[0] in handlers:
        return handlers[words[0]](words[1:])
    return _panels(words)


def _parser(command: str) -> argparse.ArgumentParser:
    name = f"sgbench diagnose {command}".strip()
    parser = argparse.ArgumentParser(
        prog=name, description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "words", nargs="+", metavar="RUN|WORDS", help="a folder with a record, or words of a run"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it")
    parser.add_argument("--config-dir", type=Path, action="append", default=[], help="entries of your own")
    parser.add_argument(
        "--allow-target", action="append", default=[], metavar="NAME", help="a class of your own"
    )
    return parser


def _panels(words: Sequence[str]) -> int:
    """Print panels by layer and the advice."""
    parser = _parser("")
    parser.add_argument("--panel", default=",".join(PANELS), metavar="NAMES", help=f"of {','.join(PANELS)}")
    parser.add_argument("--weights", metavar="NAMES", help="initial, selected or both with a comma")
    parser.add_argument("--batches", type=int, default=4, help="of the validation split, default: 4")
    args = parser.parse_args(words)
    _check_plot(args)
    from sgbench.diagnosis.panels import checked_panels
    from sgbench.inspection.diagnosed import diagnosed

    panels = checked_panels(args.panel.split(","))
    run = _run(args)
    finished = run.record is not None and run.record.status == "finished"
    weights = (args.weights or ("initial,selected" if finished else "initial")).split(",")
    found = [diagnosed(run, name, panels, args.batches) for name in sorted(weights)]
    if args.json:
        _write_json({"run": run.name, "diagnoses": [each.model_dump(mode="json") for each in found]})
    else:
        _write("\n\n".join(as_text(each) for each in found) + "\n")
    if args.plot is not None:
        from sgbench.plots.diagnosis import diagnosis_figure

        _draw(args, lambda: diagnosis_figure(found))
    return 0


def as_text(found: Diagnosis) -> str:
    """Write a diagnosis for people: a line for each layer, agreements, advice."""
    loss = "not finite" if found.loss is None else f"{found.loss:.4g}"
    lines = [f"{found.weights} weights, {found.samples} samples of {found.split or 'yours'}, loss {loss}", ""]
    names = [
        name for name in LAYER_COLUMNS if any(getattr(layer, name) is not None for layer in found.layers)
    ]
    if names:
        head = ["layer", *(LAYER_COLUMNS[name] for name in names)]
        lines += aligned([head, *(_row(layer, names) for layer in found.layers)], words=1)
    if found.agreements:
        lines += ["", *_agreement_lines(found)]
    if found.falling_steps is not None:
        lines.append(f"the loss falls with {found.falling_steps:.0%} of short steps against the gradient")
    if found.outlook is not None:
        lines += ["", f"outlook: {found.outlook}"]
    return "\n".join([*lines, *(f"- {sentence}" for sentence in found.advice)])


def _row(layer: LayerDiagnosis, names: Sequence[str]) -> list[str]:
    return [layer.name, *(_number(getattr(layer, name)) for name in names)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _agreement_lines(found: Diagnosis) -> list[str]:
    rows = [
        [line.reference, line.layer, *(_number(getattr(line, name)) for name in AGREEMENT_COLUMNS)]
        for line in found.agreements or ()
        if line.layer != "all"
    ]
    missing = [
        f"{line.reference}: {line.reasons['cosine']}"
        for line in found.agreements or ()
        if line.layer == "all"
    ]
    head = ["reference", "layer", *(name.replace("_", " ") for name in AGREEMENT_COLUMNS)]
    return [*aligned([head, *rows], words=2), *missing]


def _line(words: Sequence[str]) -> int:
    """Print the loss and its slopes along the line from initial to selected weights."""
    parser = _parser("line")
    parser.add_argument("--points", type=int, default=41, help="on the line, default: 41")
    parser.add_argument(
        "--from", dest="first", type=float, default=-0.25, metavar="ALPHA", help="default: -0.25"
    )
    parser.add_argument("--to", dest="last", type=float, default=1.25, metavar="ALPHA", help="default: 1.25")
    parser.add_argument("--batches", type=int, default=4, help="of the validation split, default: 4")
    args = parser.parse_args(words)
    _check_plot(args)
    from sgbench.inspection.diagnosed import scanned_line

    run = _run(args)
    line = scanned_line(run, batches=args.batches, points=args.points, first=args.first, last=args.last)
    if args.json:
        _write_json({"run": run.name, "line": [point.model_dump() for point in line]})
    else:
        head = ["alpha", "loss", "surrogate slope", "macroscopic slope"]
        rows = [
            [
                _number(each)
                for each in (point.alpha, point.loss, point.surrogate_slope, point.macroscopic_slope)
            ]
            for point in line
        ]
        _write("\n".join(aligned([head, *rows], words=0)) + "\n")
    if args.plot is not None:
        from sgbench.plots.diagnosis import line_figure

        _draw(args, lambda: line_figure(line))
    return 0


def _loop(words: Sequence[str]) -> int:
    """Print the closed-loop integrals of a run's surrogate gradient."""
    parser = _parser("loop")
    parser.add_argument("--radius", type=float, default=0.5, help="by the norm of the weights, default: 0.5")
    parser.add_argument("--points", type=int, default=400, help="on each loop, default: 400")
    parser.add_argument("--planes", type=int, default=8, help="how many loops, default: 8")
    parser.add_argument("--weights", default="initial", help="in the middle, initial or selected")
    parser.add_argument("--batches", type=int, default=1, help="of the validation split, default: 1")
    args = parser.parse_args(words)
    if args.plot is not None:
        raise InputError("diagnose loop: its numbers have no picture; leave --plot out")
    from sgbench.inspection.diagnosed import looped

    run = _run(args)
    loops = looped(
        run,
        weights=args.weights,
        batches=args.batches,
        radius=args.radius,
        points=args.points,
        planes=args.planes,
    )
    if args.json:
        _write_json({"run": run.name, "loops": [loop.model_dump() for loop in loops]})
        return 0
    rows = [
        [
            str(place),
            f"{loop.integral:.4g}",
            f"{loop.path:.4g}",
            _number(loop.integral / loop.path if loop.path else None),
        ]
        for place, loop in enumerate(loops)
    ]
    _write("\n".join(aligned([["plane", "integral", "path", "share"], *rows], words=1)) + "\n")
    _write("the integral of a gradient of any function is 0; path is the integral of its absolute value\n")
    return 0


def _exact(words: Sequence[str]) -> int:
    """Print how a surrogate's gradient compares with the exact one on tiny networks."""
    parser = _parser("exact")
    parser.add_argument("--noise", type=float, default=5.0, help="slope of the escape noise, default: 5")
    args = parser.parse_args(words)
    if args.plot is not None:
        raise InputError("diagnose exact: its numbers have no picture; leave --plot out")
    from sgbench.composition.compose import compose
    from sgbench.diagnosis.exact import exact
    from sgbench.training.build import construct

    for word in args.words:
        if not word.startswith(("surrogate", "width_fwhm=")):
            raise InputError(
                f"'{word}': the networks are fixed; only surrogate=NAME and its numbers are chosen"
            )
    spec = compose(args.words, config_dirs=args.config_dir, allow_targets=args.allow_target)
    found = exact(
        lambda: construct("surrogate", spec.targets["surrogate"], spec.method.parameters["surrogate"]),
        noise_slope=args.noise,
    )
    if args.json:
        _write_json({"noise_slope": args.noise, **found._asdict()})
        return 0
    _write(
        f"{' '.join(args.words)}, escape noise of slope {args.noise:g}, {found.networks} tiny networks\n"
        f"cosine {found.cosine:.3f} (median), {found.cosine_low:.3f} (10 % quantile); norm ratio "
        f"{found.norm_ratio:.3g}; signs agree {found.sign_agreement:.0%}\n"
    )
    return 0


def _run(args: argparse.Namespace) -> StoredRun:
    from sgbench.inspection.stored_run import stored_run

    return stored_run(args.words, config_dirs=args.config_dir, allow_targets=args.allow_target)


def _check_plot(args: argparse.Namespace) -> None:
    if args.plot is not None:
        from sgbench.plots.style import check_picture_path

        check_picture_path(args.plot)


def _draw(args: argparse.Namespace, make: Callable[[], Figure]) -> None:
    from sgbench.plots import style

    style.save(make, args.plot)
    if not args.json:
        _write(f"picture: {args.plot}\n")


def _write(text: str) -> None:
    sys.stdout.write("\n".join(printable(line) for line in text.split("\n")))


def _write_json(tree: Any) -> None:
    sys.stdout.write(json.dumps(tree, indent=1, sort_keys=True) + "\n")
