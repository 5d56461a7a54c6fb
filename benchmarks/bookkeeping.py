"""What a point of a sweep costs beside its training: composing, looking for its record, grouping, messages."""

import io
import tempfile
import time

from rich.console import Console

from sgbench.composition.plan import plan
from sgbench.replicas.grouping import groups
from sgbench.replicas.messages import WorkerMessage
from sgbench.replicas.view import SweepView
from sgbench.training.run_folder import finished_record

SURROGATES = "atan,triangle,fast_sigmoid,sigmoid,gaussian"
EPOCHS = 30  # that each point tells of


def per_point_ms(points: int) -> float:
    """CPU time of a sweep of so many points, without its training, for each of them [ms]."""
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        seeds = ",".join(map(str, range(points // 5)))
        words = ["experiment=digits", f"surrogate={SURROGATES}", f"seed={seeds}", f"paths.runs_dir={folder}"]
        specs = plan(words, multirun=True).specs
        left = [place for place, spec in enumerate(specs) if finished_record(spec) is None]
        work_groups = groups(specs, left, workers=2)
        view = SweepView(specs, {}, str, Console(file=io.StringIO(), force_terminal=True, width=80))
        for group in work_groups:
            for place in group.points:
                for epoch in range(EPOCHS):
                    view.hear(WorkerMessage(place, "epoch", epochs=epoch))
                    view.tick()
                view.hear(WorkerMessage(place, "refused", line="counted, not run"))
        view.close()
        return (time.process_time() - began_s) / points * 1e3
