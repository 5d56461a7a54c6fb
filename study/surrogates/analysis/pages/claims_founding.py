"""C1 to C12: claims of the founding review of surrogate gradients and of its follow-ups, with their rules."""

from study.surrogates.analysis.pages import claims_cells, claims_outside
from study.surrogates.analysis.pages.claim_rules import LiteratureClaim

NEFTCI = "Neftci, Mostafa & Zenke 2019, IEEE Signal Processing Magazine 36(6):51-63"
ZENKE = "Zenke & Vogels 2021, Neural Computation 33(4):899-925"
GYGAX = "Gygax & Zenke 2025, Neural Computation 37(5):886-925"


def run(block: str, page: str) -> str:
    return f"`sgbench study run surrogates --block {block}`, [page]({page})"


def reproduce(name: str) -> str:
    """Write the command that makes a reproduction's runs, and the page that shows them."""
    return f"`sgbench reproduce {name}`, [page](../reproductions.md#{name})"


BOARD = f"`sgbench board show {claims_outside.BOARD}`, [board](../../leaderboards/{claims_outside.BOARD}/table.md)"

FOUNDING = (
    LiteratureClaim(
        "C1",
        "The true gradient does not train hidden layers.",
        NEFTCI,
        "Block A3b runs the control `zero`, which lets no gradient through a spike, beside atan at its own best. "
        "Confirmed where `zero` is shown lower by more than the margin on every task; refuted where it is shown "
        "equal or better on one, with Holm's correction over tasks.",
        lambda evidence: claims_cells.control_fails(evidence, "zero"),
        run("A3b", "tuned.md"),
    ),
    LiteratureClaim(
        "C2",
        "The shape of the surrogate is not crucial.",
        f"{NEFTCI}; {ZENKE}",
        "It is general, so one regime in which the shape decides refutes it. Confirmed where H1 (one layer) and H6 "
        "(each shape at its own best) are confirmed and H2 (four quiet layers) is refuted; refuted where H2 is "
        "confirmed or H1 or H6 is refuted.",
        claims_cells.shape_is_not_crucial,
        run("A2", "README.md"),
    ),
    LiteratureClaim(
        "C3",
        "A constant surrogate (straight through) fails or is clearly worse.",
        ZENKE,
        "As C1, with the control `constant`; a failed run counts as guessing.",
        lambda evidence: claims_cells.control_fails(evidence, "constant"),
        run("A3b", "tuned.md"),
    ),
    LiteratureClaim(
        "C4",
        "A high surrogate harms through the reset and through recurrence; stopping the gradient there mends it.",
        f"{ZENKE}; {GYGAX}",
        "Block B2 at width 0.05, where area 1 makes a peak of 13 to 20. Confirmed where area 1 is shown lower than "
        "peak 1 by more than the margin with the reset attached (T1) and with recurrence let through (T4), for "
        "atan and triangle, and lower by less with the reset detached and recurrence cut; refuted where one of "
        "the four is shown equal or better.",
        claims_cells.height_harms,
        run("B2", "safety.md"),
    ),
    LiteratureClaim(
        "C5",
        "The fast sigmoid is the most robust over learning rates.",
        "Herranz-Celotti & Rouat 2022, arXiv:2202.00282",
        "Block A2, T2d4, T4 and T6 (per cent solved): mean test score of a shape over learning rates x 1/4, 1, 4 "
        "at the width that does best on validation over all three, averaged over tasks. Confirmed where "
        "fast_sigmoid is shown better than each of five shapes; refuted where one is shown better than it, with "
        "Holm's correction.",
        claims_cells.fast_sigmoid_is_robust,
        run("A2", "tuning.md"),
    ),
    LiteratureClaim(
        "C6",
        "Deep networks need a start that drives their neurons by fluctuations.",
        "Rossbroich, Gygax & Zenke 2022, Neuromorphic Computing and Engineering 2(4)",
        "Blocks A2 (four layers) and B1 (six), width 1; a driven start has a gain of 1.5 or 2. Confirmed where at "
        "both depths no shape learns from a quiet start and the lightest tail does from a driven start (Wilson "
        "intervals against one half); refuted where a shape is shown to learn from a quiet one.",
        claims_cells.driven_start_is_needed,
        run("B1", "depth.md"),
    ),
    LiteratureClaim(
        "C7",
        "A surrogate gradient is the gradient of no function.",
        GYGAX,
        "Confirmed where every figure of reproduction `closed_loop` agrees: the integral around a loop is 0.05 or "
        "more with a surrogate and 0 to rounding with the true gradient; refuted where one does not.",
        claims_outside.not_conservative,
        reproduce("closed_loop"),
    ),
    LiteratureClaim(
        "C8",
        "Networks of noisy neurons train best where the surrogate matches the noise.",
        GYGAX,
        "Reproduction `escape_noise_c8`, four slopes of noise. Confirmed where the matched surrogate is shown "
        "above the other at each; refuted where it is shown below at one, with Holm's correction.",
        claims_outside.matched_noise_is_best,
        reproduce("escape_noise_c8"),
    ),
    LiteratureClaim(
        "C9",
        "Random feedback and local losses come close to back-propagation when shallow, and not when deep.",
        NEFTCI,
        "Close is within 5 points. Refuted where one of these rules is shown more than 5 points lower in networks "
        f"with one hidden layer (board `{claims_outside.BOARD}`, block DR), with Holm's correction; it cannot be "
        "confirmed before a deep network is run with them.",
        claims_outside.other_feedback_comes_close,
        BOARD,
    ),
    LiteratureClaim(
        "C10",
        "E-prop comes close to back-propagation over long delays with adapting neurons.",
        "Bellec et al. 2020, Nature Communications 11:3625",
        "Confirmed where reproduction `eprop_evidence` (adapting neurons, a delay of a second) agrees and, on "
        "delayed exclusive or, back-propagation is shown less than 5 points above e-prop (95 % interval); refuted "
        "where the first does not agree or the interval lies above 5 points.",
        claims_outside.eprop_bridges_delays,
        reproduce("delayed_xor_traces"),
    ),
    LiteratureClaim(
        "C11",
        "Activity can be cut without loss down to a critical rate.",
        ZENKE,
        "Block C2, atan at the better width, a cost of activity of five strengths. Confirmed where on every "
        "task one strength is shown to send at most half of the spikes at equal accuracy and another to cost more "
        "than the margin, each with Holm's correction over strengths; refuted where on one task every strength "
        "that halves the spikes is shown to cost more.",
        claims_cells.sparse_without_loss,
        run("C2", "spikes.md"),
    ),
    LiteratureClaim(
        "C12",
        "Schedules of the slope bring nothing in supervised training.",
        "Van den Berghe et al. 2025, NeurIPS, arXiv:2510.24461",
        "Confirmed where H8 is; refuted where one of its comparisons shows a schedule or a learnt width better "
        "than the best fixed width.",
        claims_cells.schedules_gain_nothing,
        run("F", "README.md"),
    ),
)
