"""`sgbench diagnose`: why a network does or does not learn."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from sgbench.cli.common import CommandParser, answer, check_picture, screen, shared_options
from sgbench.errors import InputError
from sgbench.records.diagnosis import PANELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sgbench.training.stored_run import StoredRun

ABOUT = """Diagnose a run or a network that has not been trained, on batches of its validation split.

  sgbench diagnose RUN|OVERRIDES         flow, activity and agreement by layer
  sgbench diagnose line RUN              loss from initial to selected weights
  sgbench diagnose plane RUN|OVERRIDES   loss over a plane of weights
  sgbench diagnose loop RUN|OVERRIDES    surrogate gradient around closed loops
  sgbench diagnose exact OVERRIDES       a surrogate against the exact gradient
  sgbench diagnose widths RUN|OVERRIDES  potentials and gradients by layer
  sgbench diagnose robustness RUN        score with disturbed input or weights

RUN is a folder with a record; OVERRIDES describe a run, e.g. experiment=digits surrogate=triangle.
"""


def diagnose_command(arguments: Sequence[str]) -> int:
    """Run `sgbench diagnose` with the arguments behind its name; return the exit code."""
    action = arguments[0] if arguments and arguments[0] in ACTIONS else ""
    make_parser, act = ACTIONS[action]
    args = make_parser().parse_args(arguments[bool(action) :])
    check_picture(args)
    return act(args)


def _parser(command: str, *, batches: int | None = None) -> argparse.ArgumentParser:
    """Build the parser of an action with the arguments that all have; an empty name is no action."""
    name = f"sgbench diagnose {command}".strip()
    raw = argparse.RawDescriptionHelpFormatter
    parser = CommandParser(prog=name, description=ABOUT, formatter_class=raw, parents=shared_options(picture="draw it"))
    parser.add_argument(
        "overrides", nargs="+", metavar="RUN|OVERRIDES", help="a folder with a record, or overrides of a run"
    )
    if batches is not None:
        text = f"of the validation split, default: {batches}"
        parser.add_argument("--batches", type=int, default=batches, help=text)
    return parser


def _panels_parser() -> argparse.ArgumentParser:
    parser = _parser("", batches=4)
    parser.add_argument("--panel", default=",".join(PANELS), metavar="NAMES", help=f"of {','.join(PANELS)}")
    parser.add_argument("--weights", metavar="NAMES", help="initial, selected or both with a comma")
    return parser


def _panels(args: argparse.Namespace) -> int:
    """Print the diagnoses of a run by layer, with advice."""
    from sgbench.diagnosis.panels import checked_panels
    from sgbench.diagnosis.text import diagnosis_text
    from sgbench.training.diagnose import diagnose_run

    panels = checked_panels(args.panel.split(","))
    run = _stored_run(args)
    finished = run.record is not None and run.record.status == "finished"
    weights = (args.weights or ("initial,selected" if finished else "initial")).split(",")
    diagnoses = [diagnose_run(run, name, panels, args.batches) for name in sorted(weights)]
    tree = {"run": run.name, "diagnoses": [diagnosis.model_dump(mode="json") for diagnosis in diagnoses]}

    def figure() -> Figure:
        from sgbench.plots.diagnosis import diagnosis_figure

        return diagnosis_figure(diagnoses)

    return answer(args, tree, "\n\n".join(diagnosis_text(each, screen(args)) for each in diagnoses), figure)


def _line_parser() -> argparse.ArgumentParser:
    parser = _parser("line", batches=4)
    parser.add_argument("--points", type=int, default=41, help="on the line, default: 41")
    parser.add_argument("--from", dest="first", type=float, default=-0.25, metavar="ALPHA", help="default: -0.25")
    parser.add_argument("--to", dest="last", type=float, default=1.25, metavar="ALPHA", help="default: 1.25")
    return parser


def _line(args: argparse.Namespace) -> int:
    """Print the loss and its slopes along the line from initial to selected weights."""
    from sgbench.diagnosis.text import line_text
    from sgbench.training.diagnose import scan_line

    run = _stored_run(args)
    line = scan_line(run, batches=args.batches, points=args.points, first=args.first, last=args.last)
    tree = {"run": run.name, "line": [point.model_dump() for point in line]}
    return answer(args, tree, line_text(line), lambda: _pictures().line_figure(line))


def _plane_parser() -> argparse.ArgumentParser:
    parser = _parser("plane", batches=1)
    parser.add_argument("--radius", type=float, default=0.5, help="by the norm of the weights, default: 0.5")
    parser.add_argument("--points", type=int, default=21, help="along each side, default: 21")
    parser.add_argument("--weights", default="initial", help="in the middle, initial or selected")
    parser.add_argument("--towards", metavar="selected", help="first direction; both are random where it is left out")
    return parser


def _plane(args: argparse.Namespace) -> int:
    """Print a summary of the loss over a plane of weights, and draw it with --plot."""
    from sgbench.diagnosis.text import plane_text
    from sgbench.training.diagnose import scan_plane

    run = _stored_run(args)
    plane = scan_plane(
        run, weights=args.weights, towards=args.towards, batches=args.batches, radius=args.radius, points=args.points
    )
    marks = [(0.0, 0.0, f"{args.weights} weights")]
    labels = ("first random direction", "second random direction")
    if args.towards:
        marks.append((1.0, 0.0, "selected weights"))
        labels = ("from initial to selected weights", "random direction")
    return answer(
        args,
        {"run": run.name, **plane._asdict()},
        plane_text(plane),
        lambda: _pictures().plane_figure(*plane, labels=labels, marks=marks),
    )


def _loop_parser() -> argparse.ArgumentParser:
    parser = _parser("loop", batches=1)
    parser.add_argument("--radius", type=float, default=0.5, help="by the norm of the weights, default: 0.5")
    parser.add_argument("--points", type=int, default=400, help="on each loop, default: 400")
    parser.add_argument("--planes", type=int, default=8, help="how many loops, default: 8")
    parser.add_argument("--weights", default="initial", help="in the middle, initial or selected")
    return parser


def _loop(args: argparse.Namespace) -> int:
    """Print the integrals of a run's surrogate gradient along closed loops in weight space; a true gradient has 0."""
    from sgbench.diagnosis.text import loops_text
    from sgbench.training.diagnose import integrate_loops

    run = _stored_run(args)
    loops = integrate_loops(
        run, weights=args.weights, batches=args.batches, radius=args.radius, points=args.points, planes=args.planes
    )
    tree = {"run": run.name, "loops": [samples.loop.model_dump() for samples in loops]}
    shares = [samples.shares for samples in loops]
    return answer(args, tree, loops_text(loops), lambda: _pictures().loops_figure(shares))


def _widths_parser() -> argparse.ArgumentParser:
    parser = _parser("widths", batches=4)
    parser.add_argument("--weights", default="initial", help="initial or selected")
    return parser


def _widths(args: argparse.Namespace) -> int:
    """Print for each layer the statistics from which adaptive surrogates choose their width."""
    from sgbench.diagnosis.text import widths_text
    from sgbench.training.diagnose import measure_widths

    run = _stored_run(args)
    measures = measure_widths(run, weights=args.weights, batches=args.batches)

    def figure() -> Figure:
        from sgbench.plots.diagnosis import widths_figure

        return widths_figure({measure.layer: measure._asdict() for measure in measures})

    tree = {"run": run.name, "widths": [measure._asdict() for measure in measures]}
    return answer(args, tree, widths_text(measures), figure)


def _exact_parser() -> argparse.ArgumentParser:
    parser = _parser("exact")
    parser.add_argument("--noise", type=float, default=5.0, help="slope of the escape noise, default: 5")
    return parser


def _exact(args: argparse.Namespace) -> int:
    """Print how a surrogate's gradient compares with the exact gradient on tiny networks of noisy neurons."""
    from sgbench.composition.compose import compose
    from sgbench.diagnosis.score_function import exact
    from sgbench.training.build import construct

    for override in args.overrides:
        if not override.startswith(("surrogate", "width_fwhm=")):
            raise InputError(f"'{override}': the networks are fixed; only surrogate=NAME and its numbers are chosen")
    spec = compose(args.overrides, config_dirs=args.config_dir, allow_targets=args.allow_target)
    comparison = exact(
        lambda: construct("surrogate", spec.targets["surrogate"], spec.method.parameters["surrogate"]),
        noise_slope=args.noise,
    )
    title = f"{' '.join(args.overrides)}, escape noise of slope {args.noise:g}, {comparison.networks} tiny networks"
    text = (
        f"{title}\n"
        f"cosine {comparison.cosine:.3f} (median), {comparison.cosine_low:.3f} (10 % quantile); norm ratio "
        f"{comparison.norm_ratio:.3g}; signs agree {comparison.sign_agreement:.0%}"
    )
    return answer(
        args,
        {"noise_slope": args.noise, **comparison._asdict()},
        text,
        lambda: _pictures().exact_figure(comparison.cosines, comparison.norm_ratios, title=title),
    )


def _robustness_parser() -> argparse.ArgumentParser:
    parser = _parser("robustness")
    parser.add_argument("--what", metavar="NAMES", help="disturbances with commas, default: all")
    parser.add_argument("--levels", metavar="NUMBERS", help="severities with commas, of the one disturbance of --what")
    parser.add_argument("--draws", type=int, default=3, help="of what is random, default: 3")
    parser.add_argument("--batches", type=int, help="of the validation split, default: all")
    return parser


def _robustness(args: argparse.Namespace) -> int:
    """Print the validation score of a finished run at each severity of each disturbance."""
    from sgbench.diagnosis.text import robustness_text
    from sgbench.training.robustness import NAMES, measure_robustness

    what = NAMES if args.what is None else tuple(args.what.split(","))
    levels = _parse_levels(args.levels, what)
    run = _stored_run(args)
    curves = measure_robustness(run, what, levels=levels, draws=args.draws, batches=args.batches)
    tree = [curve._asdict() | {"points": [point._asdict() for point in curve.points]} for curve in curves]

    def figure() -> Figure:
        from sgbench.training.robustness import robustness_figure

        return robustness_figure(curves)

    found = {"run": run.name, "draws": args.draws, "curves": tree}
    return answer(args, found, robustness_text(curves), figure)


ACTIONS: dict[str, tuple[Callable[[], argparse.ArgumentParser], Callable[[argparse.Namespace], int]]] = {
    "": (_panels_parser, _panels),
    "line": (_line_parser, _line),
    "plane": (_plane_parser, _plane),
    "loop": (_loop_parser, _loop),
    "exact": (_exact_parser, _exact),
    "widths": (_widths_parser, _widths),
    "robustness": (_robustness_parser, _robustness),
}
"""Maps each action to (builder of its parser, handler); the empty name is `sgbench diagnose` without an action."""


def _parse_levels(text: str | None, what: Sequence[str]) -> list[float] | None:
    """Read the severities of `--levels`, which belong to the one disturbance of `--what`."""
    if text is None:
        return None
    if len(what) != 1:
        raise InputError("--levels: severities are those of one disturbance; name it with --what")
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--levels {text}: numbers with commas are needed, e.g. 0.1,0.2,0.5") from None


def _stored_run(args: argparse.Namespace) -> StoredRun:
    """Load the run that the arguments name by its folder, or build the network of their overrides."""
    from sgbench.training.stored_run import stored_run

    return stored_run(args.overrides, config_dirs=args.config_dir, allow_targets=args.allow_target)


def _pictures() -> ModuleType:
    from sgbench.plots import diagnosis

    return diagnosis
