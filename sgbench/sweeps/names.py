"""Names the methods of a sweep by the settings in which its points differ."""

from collections.abc import Sequence

from sgbench.composition.plan import RunPlan
from sgbench.records.method import method_id
from sgbench.records.spec import GROUPS

SEED_KEY, SURROGATE_KEY = "seed", "surrogate"


def is_choice(key: str) -> bool:
    """Return whether a key chooses an entry, as `rule` does, rather than sets a value of one, as `rule.gain` does.

    >>> [is_choice(key) for key in ("rule", "neuron@readout", "rule.gain", "width_fwhm", "experiment")]
    [True, True, False, False, True]
    """
    return key.partition("@")[0] in (*GROUPS, "protocol", "experiment")


def choices_first(keys: Sequence[str]) -> list[str]:
    """Sort keys so that those that choose entries precede those that set numbers, each kind in the order given.

    >>> choices_first(["rule.gain", "seed", "rule"])
    ['rule', 'rule.gain', 'seed']
    """
    return sorted(keys, key=lambda key: not is_choice(key))


def name_methods(planned: RunPlan) -> dict[str, str]:
    """Map the id of each method to the settings that are swept, seeds aside; empty if only surrogates are swept."""
    settings_of_points = [point.settings for point in planned.points]
    keys = dict.fromkeys(key for settings in settings_of_points for key in settings if key != SEED_KEY)
    swept = [
        key for key in choices_first(list(keys)) if len({settings.get(key) for settings in settings_of_points}) > 1
    ]
    if set(swept) <= {SURROGATE_KEY}:
        return {}
    names = [", ".join(f"{key}={settings[key]}" for key in swept if key in settings) for settings in settings_of_points]
    return dict(zip([method_id(spec.method) for spec in planned.specs], names, strict=True))
