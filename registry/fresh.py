"""Stored weights on samples that nobody had when they were handed in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.store.method_provenance import SUBMISSIONS
from sgbench.leaderboard.store.objects import Objects
from sgbench.records.audit import FreshScore
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.spec import Method
from sgbench.records.submission import Submission
from sgbench.submissions.verify.network import load_weights
from sgbench.submissions.verify.tiers import score_test
from sgbench.submissions.verify.verdict import mean, recompose, score_of
from sgbench.training.build import build
from sgbench.training.epoch_loop import Training
from sgbench.training.provenance import Code


def fresh_score(
    folder: Path, method: Method, claims: Mapping[int, float], draw: int, references: References
) -> FreshScore | None:
    """Score the stored weights of all seeds of a method on a test split that is generated anew.

    `claims`: maps finished seeds to their claimed scores. `draw`: number that draws the samples. Returns None if no
    weights are stored, or if the task's data are not generated, or each draw would be another task.
    """
    name = method_id(method)
    scores, samples = {}, 0
    for seed, data in _weights(folder, name).items():
        if data is None or seed not in claims:
            continue
        parts = build(recompose(method, seed, runs_dir=folder, references=references))
        new_data = parts.data.data_set.drawn(draw)
        if new_data is None or new_data.redraws_task or new_data.origin != "generated":
            return None
        parts.data.data_set = new_data
        parts.data.setup()
        load_weights(parts.network, data, f"weights of {name} seed {seed}")
        training = Training(parts, method, seed, made_by={})
        score_test(training, parts)
        tested = training.evaluation.scores()
        scores[seed], samples = score_of(tested), tested.samples
    if not scores:
        return None
    return FreshScore(
        method_id=name,
        draw=draw,
        seeds=tuple(scores),
        claimed=mean([claims[seed] for seed in scores]),
        fresh=mean(list(scores.values())),
        samples=samples,
        commit=Code.here().commit,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _weights(folder: Path, name: str) -> dict[int, bytes | None]:
    """Map seeds to the submitted weights of a method; None where only their address is stored."""
    head = folder / SUBMISSIONS / f"{name}.json"
    if not head.is_file():
        return {}
    notes = [note for note in read_model(head, Submission).files if note.path.startswith("weights/")]
    objects = Objects(folder)
    return {int(Path(note.path).stem): objects.get(note.sha256, "safetensors") for note in notes}
