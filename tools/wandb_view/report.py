"""`python -m tools.wandb_view.report ENTITY PROJECT`: the saved report of a sweep at Weights & Biases.

It needs `pip install wandb-workspaces` and an account; what it shows are keys of `sgbench.records.record`, which
every run has in its summary (`logger=wandb`, or `sgbench sync --to wandb`).
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

SCORE, SPIKES = "test/accuracy", "counts/spikes"
SETTINGS = ("setting/optimizer/lr", "setting/surrogate/alpha")
HISTORIES = ("validation/loss", "validation/rate_hz/hidden0", "gradient_norm/hidden0")


def panels(settings: Sequence[str], score: str) -> list[Any]:
    """List the panels of the report."""
    import wandb_workspaces.reports.v2 as wr

    axes = [wr.SummaryMetric(key) for key in (*settings, "validation/accuracy", score)]
    return [
        wr.ParallelCoordinatesPlot(
            title=" x ".join(settings), columns=[wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes]
        ),
        wr.ScatterPlot(
            title="score against spikes per inference",
            x=wr.SummaryMetric(SPIKES),
            y=wr.SummaryMetric(score),
            log_x=True,
        ),
        wr.ScatterPlot(
            title=f"score over {settings[0]}", x=wr.SummaryMetric(settings[0]), y=wr.SummaryMetric(score), log_x=True
        ),
        *(wr.LinePlot(title=key, x="epoch", y=[key]) for key in HISTORIES),
    ]


def report(entity: str, project: str, *, group: str | None, settings: Sequence[str], score: str) -> Any:
    import wandb_workspaces.reports.v2 as wr

    chosen = {} if group is None else {"filters": f"Group = '{group}'"}
    runs = wr.Runset(entity=entity, project=project, name=group or "all runs", **chosen)
    blocks = [
        wr.H1(text=group or project),
        wr.P(text="Made by sgbench; records are the truth, and what is shown here are copies of them."),
        wr.PanelGrid(runsets=[runs], panels=panels(settings, score)),
    ]
    return wr.Report(entity=entity, project=project, title=f"sgbench: {group or project}", blocks=blocks)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.wandb_view.report", description=__doc__)
    parser.add_argument("entity")
    parser.add_argument("project")
    parser.add_argument("--group", help="of the sweep; all runs by default")
    parser.add_argument("--settings", nargs="+", default=SETTINGS, help="keys of its axes")
    parser.add_argument("--score", default=SCORE)
    args = parser.parse_args(words)
    try:
        made = report(args.entity, args.project, group=args.group, settings=args.settings, score=args.score)
    except ImportError:
        sys.stderr.write("the report needs wandb-workspaces: pip install wandb-workspaces\n")
        return 2
    made.save()
    sys.stdout.write(f"{made.url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
