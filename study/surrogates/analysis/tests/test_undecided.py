"""The page of runs that would decide open hypotheses, against lines written for the test."""

from study.reporting.plan import PlanLine
from study.surrogates.analysis.pages.undecided import page


def test_the_cheapest_plan_stands_first_and_an_unknown_chance_is_told():
    """By hand: 0.1 core-hours before 5.8; a chance of .03 is 3 %, one that is not known a dash."""
    lines = [
        PlanLine("H4", "seeds 310 to 339", 1440, 5.75, None),
        PlanLine("H3", "second_look seeds 310 to 319", 120, 0.1, 0.03),
    ]
    text = page(lines, {"H3": "The start matters.", "H4": "Widths are narrow."}).text()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[2:] == [
        "| The start matters. | registered second look, seeds 310 to 319 | 120 | 0.1 | 3 % |",
        "| Widths are narrow. | seeds 310 to 339 | 1,440 | 5.8 | - |",
    ]
