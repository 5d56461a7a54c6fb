"""Claims of the literature: what each says, by which rule it is decided, and what was measured here."""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import yaml

from study.reporting.pages.text import StudyPage, details, table
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages import claims_cells, claims_later, claims_outside
from study.surrogates.analysis.pages.claim_rules import Decided, LiteratureClaim, UndecidableClaim
from study.surrogates.analysis.pages.claims_outside import BOARD

NAME = "claims.md"
TITLE = "Which claims of the literature hold here?"
WORDS = ("confirmed", "refuted", "open")
DECIDE: Mapping[str, Callable[[SurrogateEvidence], Decided]] = {
    "C1": partial(claims_cells.control_fails, control="zero"),
    "C2": claims_cells.shape_is_not_crucial,
    "C3": partial(claims_cells.control_fails, control="constant"),
    "C4": claims_cells.height_harms,
    "C5": claims_cells.fast_sigmoid_is_robust,
    "C6": claims_cells.driven_start_is_needed,
    "C7": claims_outside.not_conservative,
    "C8": claims_outside.matched_noise_is_best,
    "C9": claims_outside.other_feedback_comes_close,
    "C10": claims_outside.eprop_bridges_delays,
    "C11": claims_cells.sparse_without_loss,
    "C12": claims_cells.schedules_gain_nothing,
    "L1": claims_later.robust_to_shape_alone,
    "L2": claims_later.careless_choices_cost_more,
    "L3": claims_later.wide_reaches_deeper,
    "L4": claims_later.width_is_a_dilemma,
    "L5": claims_later.width_must_follow,
    "L6": claims_later.skewed_is_better,
    "L8": claims_later.fewer_spikes_than_arctan,
    "L9": claims_later.gain_has_a_working_region,
    "L10": claims_outside.no_gradient_but_noise,
    "L12": claims_later.one_step_equals_eprop,
    "L13": claims_outside.traces_lag_behind,
    "L15": claims_later.quadratic_neurons_win,
    "L16": claims_later.times_are_learnt,
    "L17": claims_later.start_decides,
}
"""The rules of claims.yaml as functions."""
STATED = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
AGAIN = {
    "block": "`sgbench study run surrogates --block {block}`, [page]({page})",
    "reproduction": "`sgbench reproduce {reproduction}`, [page](../reproductions.md#{reproduction})",
    "board": "`sgbench board show {board}`, [board](../../leaderboards/{board}/table.md)",
}
CLAIMS = tuple(
    LiteratureClaim(
        *(name, one["says"], one["source"], one["rule"].replace("{board}", BOARD), DECIDE[name]),
        next(text.format(**one) for kind, text in AGAIN.items() if kind in one),
    )
    for name, one in STATED["claims"].items()
)
UNDECIDABLE = tuple(UndecidableClaim(**one) for one in STATED["undecidable"])


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page of the literature's claims with a verdict on each."""
    if evidence.loaded.study.extends:
        return StudyPage(NAME, TITLE, (f"They are decided by study {evidence.loaded.study.extends} alone.",))
    verdicts = {claim.name: claim.decide(evidence) for claim in CLAIMS}
    counts = Counter(decided.verdict for decided in verdicts.values())
    rows = [
        [one.name, one.says, f"**{found.verdict}**", found.number.replace("|", "/"), one.again, one.source]
        for one, found in ((claim, verdicts[claim.name]) for claim in CLAIMS)
    ]
    return StudyPage(
        NAME,
        TITLE,
        (
            f"Of {len(CLAIMS)} claims {', '.join(f'{counts[word]} are {word}' for word in WORDS)}, for small data, one "
            "to six layers and up to 100 steps. C1 to C12 are those of the field's founding review and its follow-ups, "
            "L1 to L17 of later papers.",
            "The rules are ours and no registered hypotheses. They were written when blocks A1 and most of A2 were "
            "stored and no other (that of L15 later, before its own), so what A1, A2, reproductions and boards decide "
            f"was known. Each holds the level of {100 * evidence.rules.level:g} % (a look at reporting seeds "
            f"{100 * evidence.rules.look_level:g} %) by itself. H1 to H9 are the [registered "
            "verdicts](README.md#verdicts); the [budget](budget.md) names the blocks.",
            details("The rule of each claim", "\n".join(f"- **{claim.name}**: {claim.rule}" for claim in CLAIMS)),
            "## Table 5: verdicts",
            table(["claim", "says", "verdict", "what decides it", "made again by", "source"], rows),
            "## Not in the list",
            "No block has runs that could decide these.",
            table(["says", "who", "why not"], [[one.says, one.source, one.why] for one in UNDECIDABLE]),
        ),
    )
