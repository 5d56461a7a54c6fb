"""Ablations: what is changed, how it is kept, and that pages are made of what is kept."""

import shutil
from pathlib import Path

import pytest

from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.records.method import method_id
from sgbench.reproduction.definition import Ablation, Reproduction, names, read
from sgbench.reproduction.figures import update_figures
from sgbench.reproduction.page import ablation_page, as_page
from sgbench.reproduction.runs import AblationResult, ReproductionFolders, ReproductionResult, grids_of, judged_grids
from sgbench.reproduction.stored import ReproductionRun, read_runs, write_runs
from sgbench.reproduction.verdict import Judged
from tests.messages import lines_naming

DOCS = Path(__file__).resolve().parents[2] / "docs"
ABLATED = [name for name in names() if read(name).ablations]
QUICK = ("zenke_vogels_fig5",)  # each composes all of its runs, a second or more
PAGES = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in ABLATED]
ENDS = (".jsonl", ".md")
GIVEN = {
    "name": "mine",
    "line": "a",
    "sources": ["b"],
    "seeds": [0, 1],
    "conditions": {"one": ["rule=eprop", "optimizer.lr=0.003,0.01"], "two": ["optimizer.lr=0.1"]},
    "figures": [
        {"line": "first", "of": ["one"], "at_least": 0.5, "evidence": "by hand"},
        {"line": "second", "of": ["two"], "at_most": 0.5, "evidence": "by hand"},
    ],
}
CHANGE = {"line": "slower", "words": ["optimizer.lr=0.001", "clip_norm=1"], "of": ["first"], "asks": "too fast?"}


def test_one_thing_is_changed():
    """By hand: words of the same key are replaced, others stay; figures and conditions that it is not of go."""
    one = Reproduction.model_validate(GIVEN | {"ablations": [CHANGE | {"seeds": [7]}]})
    (ablation,) = one.ablations
    changed, base = one.ablated(ablation), one.ablated(ablation, is_changed=False)
    assert changed.conditions == {"one": ("rule=eprop", "optimizer.lr=0.001", "clip_norm=1")}
    assert base.conditions == {"one": one.conditions["one"]}
    assert changed.figures == base.figures == one.figures[:1]
    assert changed.seeds == base.seeds == (7,)


def test_another_choice_leaves_no_settings_of_the_first():
    """By hand: schedule=constant takes schedule.by with it; optimizer.lr, of another group, stays."""
    ablation = Ablation(line="a", words=("schedule=constant",), of=("first",), asks="b")
    condition = ["schedule=step", "schedule.by=0.1", "optimizer.lr=0.1"]
    assert ablation.changed(condition) == ["optimizer.lr=0.1", "schedule=constant"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ablations": [CHANGE | {"of": ["third"]}]}, "figure 'third' is not there"),
        ({"ablations": [CHANGE, CHANGE]}, "is there twice"),
        ({"ablations": [CHANGE | {"words": []}]}, "words"),
        ({"ablations": [CHANGE | {"seeds": [0, 0]}]}, "ablation 'slower': seeds: one is there twice"),
        ({"ablations": [CHANGE | {"of": ["first", "first"]}]}, "ablation 'slower': of: one is there twice"),
        ({"ablations": [CHANGE], "calculation": {"name": "closed_loop"}}, "a calculation has no runs"),
        ({"figures": [GIVEN["figures"][0] | {"cause": "luck"}]}, "a cause is shown by an ablation"),
        (
            {"figures": [*GIVEN["figures"][:1], GIVEN["figures"][1] | {"cause": "luck"}], "ablations": [CHANGE]},
            "'second': a cause is shown by an ablation",
        ),
    ],
)
def test_what_shows_nothing_is_refused(changes, message):
    """Expected: a message that names it; must match: a cause of a figure that is ablated is taken."""
    with pytest.raises(ValueError, match=message):
        Reproduction.model_validate(GIVEN | changes)
    figures = [GIVEN["figures"][0] | {"cause": "steps too long"}, GIVEN["figures"][1]]
    Reproduction.model_validate(GIVEN | {"ablations": [CHANGE], "figures": figures})


def run(method: str, seed: int, accuracy: float) -> ReproductionRun:
    return ReproductionRun(method=method, seed=seed, measures={"test_accuracy": accuracy}, rank=0.5, total_s=30.0)


def test_stored_runs_are_judged_without_training():
    """By hand: 0.5 and 1.0 of two seeds before, 1.0 and 1.0 after; the changed condition is another method."""
    one = read("temporal_xor")
    change = Ablation(line="wider", words=("init.gain=3",), of=(one.figures[0].line,), seeds=(0, 1), asks="?")
    one = one.model_copy(update={"ablations": (change,), "seeds": (0, 1)})
    grids = grids_of(one, None, ReproductionFolders(), with_ablations=True)
    base, changed = judged_grids(one, grids, {}).ablations[0][1:]
    (before,), (after,) = (*base.methods.values(), *changed.methods.values())
    assert before != after
    runs = [run(before, 0, 0.5), run(before, 1, 1.0), run(after, 0, 1.0), run(after, 1, 1.0)]
    result = judged_grids(one, grids, {each.key: each for each in runs})
    ((_, base, changed),) = result.ablations
    assert result.judged == base.judged
    assert (base.judged[0].ours, base.judged[0].by_seed, base.judged[0].verdict) == (0.75, (0.5, 1.0), "does not agree")
    assert (changed.judged[0].ours, changed.judged[0].verdict) == (1.0, "agrees")
    assert result.minutes == changed.minutes == 1.0


def test_a_control_has_no_verdict():
    """Must match: the numbers of a page; must differ: where a verdict on the bound stands otherwise."""
    one = read("temporal_xor")
    line = one.figures[0].line
    judged = Judged(one.figures[0], 1.0, None, 1, "agrees", None, (1.0,))
    pages = []
    for is_control in (False, True):
        change = Ablation(line="wider", words=("init.gain=3",), of=(line,), asks="?", is_control=is_control)
        part = ReproductionResult(one.ablated(change), (judged,), 1, 1.0)
        whole = ReproductionResult(one, (judged,), 1, 1.0, ablations=(AblationResult(change, part, part),))
        row, _ = [row for row in ablation_page(whole).splitlines() if row.startswith("| wider ")]
        pages.append(row)
    plain, control = pages
    assert "| agrees |" in plain
    assert control == plain.replace("| agrees |", "| control |")


@pytest.mark.slow
def test_methods_that_a_file_no_longer_has_are_dropped(tmp_path, capsys):
    """Must match: stored runs of its methods, of other seeds too; must differ: those of another method."""
    name = QUICK[0]
    (tmp_path / "reproductions").mkdir()
    for place in ("reproductions.md", "reproductions/figures.json", f"reproductions/{name}.jsonl"):
        shutil.copy(DOCS / place, tmp_path / place)
    path = tmp_path / "reproductions" / f"{name}.jsonl"
    stored = read_runs(path)
    method = next(iter(stored))[0]
    more = [run(method, 7, 0.5), run("f" * 12, 0, 0.5)]
    write_runs(path, stored | {each.key: each for each in more})
    page = tmp_path / "reproductions.md"
    main(["reproduce", name, "--stored", f"--update={page}", f"--root={tmp_path / 'none'}"])
    assert read_runs(path).keys() == {*stored, (method, 7)}


def test_an_ablation_that_was_not_made_is_no_success(monkeypatch, capsys):
    """Expected: exit code 1 with --ablations where a changed run is unknown, and the line of one not started.

    Must differ: 0 where the ablations were not asked for.
    """
    one = read("temporal_xor")
    change = Ablation(line="wider", words=("init.gain=3",), of=(one.figures[0].line,), seeds=(0,), asks="?")
    one = one.model_copy(update={"ablations": (change,), "seeds": (0,)})
    monkeypatch.setattr("sgbench.reproduction.definition.read", lambda *given: one)
    monkeypatch.setattr("sgbench.reproduction.runs.carry_out", lambda *given, **how: ["seed 0: no memory"])
    (own,) = grids_of(one, None, ReproductionFolders(), with_ablations=False)[0].specs()
    known = run(method_id(own.method), 0, 1.0)
    monkeypatch.setattr("sgbench.reproduction.runs.runs_of", lambda *given: {known.key: known})
    assert main(["reproduce", "temporal_xor", "--ablations"]) == 1
    assert lines_naming(capsys.readouterr().err, "temporal_xor", "seed 0", "no memory")
    assert main(["reproduce", "temporal_xor", "--stored"]) == 0


def test_runs_come_back_as_they_were_stored(tmp_path):
    """Must match: what was written; must differ: a line that is none of these is refused by its number."""
    path = tmp_path / "mine.jsonl"
    assert read_runs(path) == {}
    runs = {each.key: each for each in (run("b" * 12, 1, 0.25), run("a" * 12, 3, 1.0))}
    write_runs(path, runs)
    assert read_runs(path) == runs
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"seed":1', b'"seed":-1'))
    with pytest.raises(InputError, match="line 2"):
        read_runs(path)


def test_a_figure_measured_before_stays_beside_one_measured_here(tmp_path):
    """By hand: one row is kept, one is new; must differ: the kept one goes where its method is another."""
    one = read("yin_yang_ann")
    first, second = one.figures

    def result(ours, methods):
        judged = [
            Judged(figure, value, None, 2, "agrees", None)
            if value is not None
            else Judged(figure, None, None, 0, "not measured", "2 runs without a result")
            for figure, value in zip(one.figures, ours, strict=True)
        ]
        return ReproductionResult(one, tuple(judged), 2, 3.0, methods, ("c0ffee",))

    ids = {"learnt": ("abc",), "frozen": ("abd",)}
    path = tmp_path / "figures.json"
    update_figures(path, [result((0.25, 0.5), ids)])
    (after,) = update_figures(path, [result((0.75, None), ids)])
    assert [each.ours for each in after.judged] == [0.75, 0.5]
    assert [each.verdict for each in after.judged] == ["agrees", "agrees"]
    (other,) = update_figures(path, [result((0.75, None), ids | {"frozen": ("abe",)})])
    assert [each.verdict for each in other.judged] == ["agrees", "not measured"]
    assert first.of != second.of


def test_revised_figures_that_agree_are_counted():
    """By hand: of closed_loop three bounds are marked; must differ: one that does not agree is not counted."""
    one = read("closed_loop")

    def head(verdicts):
        judged = tuple(
            Judged(figure, 0.5, None, 1, verdict, None) for figure, verdict in zip(one.figures, verdicts, strict=True)
        )
        return as_page([ReproductionResult(one, judged, 1, None)])

    agree = ["agrees"] * len(one.figures)
    told = "Of the {} that agree, 0 have conditions that were changed, and {} a bound that was set"
    assert told.format(6, 3) in head(agree)
    assert told.format(5, 2) in head(["does not agree", *agree[1:]])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_made_again_without_training(name, tmp_path, capsys):
    """Expected: the committed pages, byte for byte, from the stored runs and the file of the reproduction."""
    (tmp_path / "reproductions").mkdir()
    for place in ("reproductions.md", "reproductions/figures.json", f"reproductions/{name}.jsonl"):
        shutil.copy(DOCS / place, tmp_path / place)
    page = tmp_path / "reproductions.md"
    main(["reproduce", name, "--stored", f"--update={page}", f"--root={tmp_path / 'none'}"])
    for place in ("reproductions.md", "reproductions/figures.json", *(f"reproductions/{name}{end}" for end in ENDS)):
        assert (tmp_path / place).read_bytes() == (DOCS / place).read_bytes(), place


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_ablation_was_run(name):
    """Expected: a stored run for each of its cells and seeds, and what was found."""
    one = read(name)
    grids = grids_of(one, None, ReproductionFolders(), with_ablations=True)[2::2]
    runs = read_runs(DOCS / "reproductions" / f"{name}.jsonl")
    wanted = {(method_id(spec.method), spec.seed) for grid in grids for spec in grid.specs()}
    assert wanted <= runs.keys()
    assert all(each.found for each in one.ablations)
