"""Settled cells at the edge of their grid, counted by hand."""

from sgbench.study_runner.definition import load_study
from study.surrogates.analysis.pages.tuned import edge_cells, edge_sentences

STARTS = {"T4": [{"surrogate": "atan", "width_fwhm": 0.1}, {"surrogate": "triangle", "width_fwhm": 0.2}]}


def settled(*cells):
    """What blocks settled on a task whose learning rate was 0.01, with these widths and rates of two shapes."""
    names = ("atan", "triangle")
    tuned = [
        {"surrogate": name, "width_fwhm": width, "optimizer.lr": rate}
        for name, (width, rate) in zip(names, cells, strict=True)
    ]
    return {"A1": {"T4": [{"optimizer.lr": 0.01}]}, "A2": STARTS, "A3a": {"T4": tuned}}


def test_cells_at_the_edge_are_counted():
    """By hand: a middle cell; half the width; a rate of four times; both at once."""
    study = load_study("surrogates").study
    assert edge_cells(study, settled((0.1, 0.01), (0.1, 0.01))) == (1, 0, 1, 2)
    assert edge_cells(study, settled((0.1, 0.04), (0.4, 0.0025))) == (1, 2, 2, 2)
    assert edge_cells(study, settled((0.1, 0.01), (0.2, 0.01))) == (0, 0, 0, 2)


def test_nothing_is_said_before_the_block_ran():
    """Must differ: without settled cells there is no sentence, with them it has the count."""
    study = load_study("surrogates").study
    assert edge_sentences(study, {}) == []
    assert edge_sentences(study, settled((0.1, 0.04), (0.1, 0.01)))[0].startswith(
        "2 of 2 settled cells lie at the edge"
    )
