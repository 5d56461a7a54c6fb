"""Numbers of a study that pages, `sgbench recommend` and the site take: losses of settings, and figures by name."""

from pydantic import Field

from sgbench.records.base import Number, Strict, Text
from sgbench.records.calibration import Reset
from sgbench.tables import decimal_text

RESULTS = "results.json"
"""Name of the file, beside the records of its study."""


class StudyFigure(Strict):
    """Holds an estimate, with the ends of its interval of 95 % where it has one.

    >>> str(StudyFigure(mean=4.34, low=0.7, high=8.0)), str(StudyFigure(mean=26, digits=0))
    ('4.3 (0.7 to 8.0)', '26')
    """

    mean: Number
    low: Number | None = None
    high: Number | None = None
    digits: int = 1

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return self.point
        low, high = (decimal_text(end, self.digits) for end in (self.low, self.high))
        return f"{self.point} ({low} to {high})"

    @property
    def point(self) -> str:
        return decimal_text(self.mean, self.digits)


class SettingResult(Strict):
    """Holds the points of test accuracy that a setting lost to the best known cell, by the title of a task."""

    surrogate: Text
    width_fwhm: Number  # [threshold units]
    reset_gradient: Reset | None = None  # None where a network has no recurrence and resets do not differ
    losses: dict[Text, Number]
    log_spikes: Number | None = None  # relative to the mean of a task's settings, averaged over tasks


class ResultGroup(Strict):
    """Holds what settings lost on tasks of one kind, and how far these tasks reach."""

    against: Text  # the best known cell, in words
    seeds: Text  # text that names the runs
    settings: tuple[SettingResult, ...]  # each with its losses on all tasks
    # least and largest value of a property of the tasks' networks, by its name in `MeasuredNetwork`
    reach: dict[Text, tuple[Number, Number]] = Field(default_factory=dict)
    learning_rates: tuple[Number, Number] | None = None  # least and largest of the tasks


class StudyResults(Strict):
    """Holds the results of a study in groups of tasks, and its figures by name."""

    groups: dict[Text, ResultGroup]
    figures: dict[Text, StudyFigure] = Field(default_factory=dict)
