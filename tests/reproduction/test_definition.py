"""The files of conf/experiment/reproduce/, and what is refused of one's own."""

import functools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References, method_deviations
from sgbench.paths import conf_dir
from sgbench.records.method import method_id
from sgbench.reproduction.definition import Figure, names, read
from sgbench.reproduction.figures import read_results
from sgbench.reproduction.page import as_page
from sgbench.reproduction.runs import ReproductionFolders, ReproductionGrid, grid_of, judged_runs
from sgbench.reproduction.stored import ReproductionRun
from tests.rooms import ROOT

NAMES = names()
RUN = [name for name in NAMES if read(name).calculation is None]
QUICK = ("spytorch1", "temporal_xor")  # the others compose more
ASKED = {
    "spytorch1", "spytorch2", "spytorch3", "yin_yang_ann", "randman_stork", "zenke_vogels_fig3",
    "zenke_vogels_fig5", "closed_loop", "store_recall", "temporal_xor", "delayed_xor_traces",
    "eprop_evidence", "eprop_pattern", "superspike_pattern", "converted_digits", "escape_noise",
    "temporal_xor_times", "yin_yang_times", "escape_noise_c8", "decolle_events",
}  # fmt: skip
PUBLISHED = {  # (figure, value): as the sources print them
    ("spytorch1", 0): 0.859,
    ("spytorch1", 1): 0.512,
    ("spytorch2", 0): 0.863,
    ("spytorch3", 0): 0.827,
    ("yin_yang_ann", 0): 0.976,
    ("yin_yang_ann", 1): 0.855,
    ("randman_stork", 0): 0.963,
    ("decolle_events", 2): 0.009,
    ("yin_yang_times", 0): 0.981,
    ("yin_yang_times", 1): 0.959,
}


@functools.cache
def grid(name: str, seed: int) -> ReproductionGrid:
    """The runs of one seed."""
    return grid_of(read(name), [seed], ReproductionFolders())


def test_all_that_is_asked_for_is_there():
    """Expected: these names, and the figures as printed by their sources."""
    assert set(NAMES) == ASKED
    assert {key: read(key[0]).figures[key[1]].published for key in PUBLISHED} == PUBLISHED


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in RUN])
def test_every_run_follows_its_own_protocol(name):
    """Expected: seeds of its protocol, or all and more; each condition has runs, and leaves it in what it names."""
    one = read(name)
    last = one.seeds[-1]
    specs = grid(name, last).specs()
    protocol = References(()).of(specs[0].method.protocol.name)
    theirs = set(protocol.protocol.seeds)
    assert set(one.seeds) <= theirs or set(one.seeds) > theirs
    for condition, cells in grid(name, last).cells.items():
        own = {
            word.removeprefix("protocol.").split("=")[0]: yaml.safe_load(word.split("=")[1])
            for word in one.conditions[condition]
            if word.startswith("protocol.")
        }
        expected = type(protocol.protocol).model_validate({**protocol.protocol.model_dump(), **own})
        for method in (spec.method for cell in cells for spec in cell.values()):
            assert method.protocol == expected
            left = {text.split()[0] for text in method_deviations(method, last, protocol)}
            changed = {key for key in own if getattr(expected, key) != getattr(protocol.protocol, key)}
            assert {key.removeprefix("protocol.") for key in left if key.startswith("protocol.")} == changed
            scheduled = any(word.startswith("schedule=") for word in one.conditions[condition])
            assert ("schedule" in left) == scheduled
    cells = [cell for cells in grid(name, last).cells.values() for cell in cells]
    assert all(list(cell) == [last] for cell in cells)
    assert len(specs) == len(cells)  # no two conditions are the same


def test_a_grid_has_all_its_cells():
    """Expected by hand: 2 slopes x 3 learning rates, each with both seeds; 12 different runs."""
    words = ("surrogate=triangle", "surrogate.slope=1,100", "optimizer.lr=0.01,0.02,0.05")
    one = read("zenke_vogels_fig3").model_copy(update={"conditions": {"esser": words}})
    found = grid_of(one, [0, 7], ReproductionFolders())
    assert [list(cell) for cell in found.cells["esser"]] == [[0, 7]] * 6
    chosen = [
        {
            (spec.method.parameters["surrogate"]["slope"], spec.method.parameters["optimizer"]["lr"])
            for spec in cell.values()
        }
        for cell in found.cells["esser"]
    ]
    assert all(len(settings) == 1 for settings in chosen)
    assert set.union(*chosen) == {(slope, lr) for slope in (1.0, 100.0) for lr in (0.01, 0.02, 0.05)}
    assert len(found.specs()) == 12


@pytest.mark.slow
def test_each_seed_of_spytorch_has_patterns_of_its_own():
    """Expected: the data set's seed is the run's; must differ: one method for each seed."""
    found = grid_of(read("spytorch1"), [0, 3], ReproductionFolders())
    assert sorted(spec.method.parameters["dataset"]["seed"] for spec in found.specs()) == [0, 0, 3, 3]
    assert [[list(cell) for cell in cells] for cells in found.cells.values()] == [[[0, 3]], [[0, 3]]]


def test_a_figure_has_seeds_of_its_own_behind_those_of_all():
    """By hand: 7 is run where a figure asks for it and averaged over by it alone; a count leaves 2 out."""
    one = read("temporal_xor").model_copy(update={"seeds": (0, 2)})
    (plain,) = one.figures
    more = plain.model_copy(update={"line": "more", "more_seeds": (7,)})
    one = one.model_copy(update={"figures": (plain, more)})
    assert one.condition_seeds("four neurons") == [0, 2, 7]
    cells = {count: grid_of(one, None, ReproductionFolders(), count=count).cells["four neurons"] for count in (None, 1)}
    assert [list(cell) for cell in cells[None]] == [[0, 2, 7]]
    assert [list(cell) for cell in cells[1]] == [[0]]
    grid = grid_of(one, None, ReproductionFolders())
    accuracy = {0: 0.5, 2: 1.0, 7: 0.0}
    runs = {
        (method_id(spec.method), spec.seed): ReproductionRun(
            method=method_id(spec.method),
            seed=spec.seed,
            measures={"test_accuracy": accuracy[spec.seed]},
            rank=0.5,
            total_s=60.0,
        )
        for spec in grid.specs()
    }
    result = judged_runs(one, grid, runs)
    assert [(judged.ours, judged.by_seed) for judged in result.judged] == [(0.75, (0.5, 1.0)), (0.5, (0.5, 1.0, 0.0))]
    assert result.minutes == 3.0


GOOD = {"line": "a", "of": ["b"], "evidence": "by hand"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "one of published, at_least and at_most"),
        ({"published": 0.5}, "belong together"),
        ({"tolerance": 0.5}, "belong together"),
        ({"published": 0.5, "tolerance": 0.1, "at_least": 0.4}, "one of published"),
        ({"at_least": 0.4, "at_most": 0.6}, "one of published"),
        ({"at_least": float("nan")}, "finite number"),
        ({"published": 0.5, "tolerance": -0.1}, "greater than or equal to 0"),
        ({"at_least": 0.4, "of": ["b", "c"]}, "a mean is of one condition"),
        ({"at_least": 0.4, "statistic": "gap"}, "needs two conditions"),
        ({"at_least": 0.4, "surprise": 1}, "Extra inputs"),
    ],
)
def test_a_figure_without_a_clear_criterion_is_refused(changes, message):
    """Expected: a message that says what is missing; must match: the same with one bound is taken."""
    with pytest.raises(ValueError, match=message):
        Figure.model_validate(GOOD | changes)
    assert Figure.model_validate(GOOD | {"at_least": 0.4}).theirs == "at least 0.4"


def own(folder: Path, change) -> Path:
    """A folder with a reproduction of one's own, made from a shipped one."""
    target = folder / "experiment" / "reproduce" / "mine.yaml"
    target.parent.mkdir(parents=True)
    shutil.copy(conf_dir() / "experiment" / "reproduce" / "temporal_xor.yaml", target)
    tree = yaml.safe_load(target.read_text())
    change(tree)
    target.write_text("# @package _global_\n" + yaml.safe_dump(tree))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["meta"].pop("reproduction"), "mine.yaml: meta.reproduction.* is missing"),
        (lambda tree: tree["meta"]["reproduction"].update(seeds=[]), "mine.yaml: .*seeds"),
        (lambda tree: tree["meta"]["reproduction"].update(seeds=[1, 1]), "one is there twice"),
        (
            lambda tree: tree["meta"]["reproduction"]["figures"][0].update(more_seeds=[7, 4]),
            "more_seeds: one is there twice, or is one of seeds",
        ),
        (lambda tree: tree["meta"]["reproduction"].update(wrong=1), "mine.yaml: .*wrong"),
        (lambda tree: tree["meta"]["reproduction"]["figures"][0].update(of=["five"]), "'five' is not there"),
        (lambda tree: tree.update(calculation={"name": "os.system"}), "calculation.name: one of closed_loop"),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_one_line(change, message, tmp_path):
    """Expected: an InputError that names the file and the key."""
    with pytest.raises(InputError, match=message) as caught:
        read("mine", [own(tmp_path, change)])
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_one_of_ones_own_is_found(tmp_path):
    """Must match the refusals above: without a change the copy is read and composed."""
    folder = own(tmp_path, lambda tree: None)
    one = read("mine", [folder])
    assert one.figures == read("temporal_xor").figures
    assert len(grid_of(one, [0, 1], ReproductionFolders(config_dirs=(folder,))).specs()) == 2


def test_the_page_leads_with_what_compares_with_a_published_number():
    """By hand, from the files: 13 numbers that somebody published, 33 bounds of ours, 7 that sources give otherwise.

    Where `published` is 0 and the evidence says "the bound is ours", nobody published that number.
    """
    figures = [figure for name in names() for figure in read(name).figures]
    count = {kind: sum(figure.whose == kind for figure in figures) for kind in ("published", "ours", "source")}
    assert count == {"published": 13, "ours": 33, "source": 7}
    assert not [figure.line for figure in figures if figure.whose == "published" and "bound is ours" in figure.evidence]
    assert not [figure.line for figure in figures if figure.whose == "source" and "is ours" in figure.evidence]
    lead = (ROOT / "docs" / "reproductions.md").read_text().split("\n\n")[1]
    assert lead.startswith("13 of 53 figures compare with a number that somebody published, and 12 of these agree.")
    assert "33 are held to a bound that is ours" in lead


def test_the_committed_page_is_what_the_stored_values_give():
    """Must match, to the byte; must differ: with another value."""
    results = read_results(ROOT / "docs" / "reproductions" / "figures.json")
    page = (ROOT / "docs" / "reproductions.md").read_text()
    assert [one.reproduction.name for one in results] == names()
    assert as_page(results) == page
    other = results[0].judged[0]._replace(ours=0.25)
    assert as_page([replace(results[0], judged=(other, *results[0].judged[1:])), *results[1:]]) != page
