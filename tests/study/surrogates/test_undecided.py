"""The page of runs that would decide open hypotheses, against lines written for the test."""

import re

from study.reporting.plan import PlanLine
from study.surrogates.analysis.comparisons import DRAWS, REGISTERED
from study.surrogates.analysis.pages.undecided import page
from tests.rooms import ROOT


def test_the_cheapest_plan_stands_first_and_an_unknown_chance_is_told():
    """By hand: 0.1 core-hours before 5.8; .03 is 3 %, one not known a dash, a second look's as registered."""
    lines = [
        PlanLine("H5", "seeds 310 to 339", 1440, 5.75, None),
        PlanLine("H3", "second_look seeds 310 to 319", 120, 0.1, 0.03),
        PlanLine("H9", "seeds 310 to 319", 130, 0.2, 0.03),
    ]
    text = page(lines, {"H3": "The start matters.", "H5": "Widths are narrow.", "H9": "Rules differ."}).text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[2:] == [
        "| The start matters. | registered second look, seeds 310 to 319 | 120 | 0.1 | 0 of 200 |",
        "| Rules differ. | seeds 310 to 319 | 130 | 0.2 | 3 % |",
        "| Widths are narrow. | seeds 310 to 339 | 1,440 | 5.8 | - |",
    ]


def test_chances_of_the_second_look_are_those_of_the_registration():
    """Must match: the declared counts, and what the amendment and its addendum say in words."""
    text = " ".join((ROOT / "docs" / "preregistration.md").read_text().split())
    first = re.search(r"drawn again (\d+) times, and after Holm, H1 is decided in (\d+) draws and H3 in none", text)
    then = re.search(r"With block I4 as it is registered, T5 alone, H4 is decided in (\d+) of (\d+) draws", text)
    assert first is not None
    assert then is not None
    draws, h1, h4, of = map(int, (*first.groups(), *then.groups()))
    assert (draws, of, {"H1": h1, "H3": 0, "H4": h4}) == (DRAWS, DRAWS, REGISTERED)
