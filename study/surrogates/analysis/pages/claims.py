"""Claims of the literature: what each says, by which rule it is decided, and what was measured here."""

from collections import Counter

from study.reporting.pages.text import StudyPage, details, table
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages.claim_rules import Decided, LiteratureClaim
from study.surrogates.analysis.pages.claims_founding import FOUNDING
from study.surrogates.analysis.pages.claims_literature import LATER, UNDECIDABLE

NAME = "claims.md"
TITLE = "Which claims of the literature hold here?"
CLAIMS = (*FOUNDING, *LATER)
WORDS = ("confirmed", "refuted", "open")


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page with table 5: a line for each claim, its verdict and the numbers that decide it."""
    if evidence.loaded.study.extends:
        return StudyPage(NAME, TITLE, (f"They are decided by study {evidence.loaded.study.extends} alone.",))
    verdicts = {claim.name: claim.decide(evidence) for claim in CLAIMS}
    counts = Counter(decided.verdict for decided in verdicts.values())
    return StudyPage(
        NAME,
        TITLE,
        (
            f"Of {len(CLAIMS)} claims "
            + ", ".join(f"{counts[word]} are {word}" for word in WORDS)
            + ". A verdict is about the tasks and networks of this study: small data, one to six layers, up to "
            "100 steps. C1 to C12 are claims of the field's founding review and of its follow-ups, L1 to L17 those "
            "of later papers.",
            "The rules are ours. They were written when blocks A1 and most of A2 were stored and no other block "
            "was (that of L15 later, before its own), and they are no registered hypotheses: each holds "
            f"the level of {100 * evidence.rules.level:g} % (a look at reporting seeds "
            f"{100 * evidence.rules.look_level:g} %) by itself, and nothing is corrected for the number of claims. "
            "What A1, A2, reproductions and boards "
            "decide was known when its rule was written. Where a rule names H1 to H9, it takes "
            "the [registered verdict](README.md#verdicts). What the words T1, A2 and the like stand for is in the "
            "[regime map](regime_map.md) and the [budget](budget.md).",
            details("The rule of each claim", "\n".join(map(_rule, CLAIMS))),
            "## Table 5: verdicts",
            table(
                ["claim", "says", "verdict", "what decides it", "made again by"],
                [_row(claim, verdicts[claim.name]) for claim in CLAIMS],
            ),
            "## Not in the list",
            "No block of the study has runs that could decide these, so they have no verdict.",
            table(["says", "who", "why not"], [[one.says, one.source, one.why] for one in UNDECIDABLE]),
            "## Sources",
            "\n".join(f"- **{claim.name}**: {claim.source}." for claim in CLAIMS),
        ),
    )


def _rule(claim: LiteratureClaim) -> str:
    return f"- **{claim.name}**, {claim.says[:1].lower()}{claim.says[1:]} {claim.rule}"


def _row(claim: LiteratureClaim, decided: Decided) -> list[str]:
    return [claim.name, claim.says, f"**{decided.verdict}**", decided.number.replace("|", "/"), claim.again]
