"""L1 to L17: claims of later papers, with their rules, and those that nothing here can decide."""

from study.surrogates.analysis.pages import claims_later, claims_outside
from study.surrogates.analysis.pages.claim_rules import LiteratureClaim, UndecidableClaim
from study.surrogates.analysis.pages.claims_founding import BOARD, ZENKE, reproduce, run

LATER = (
    LiteratureClaim(
        "L1",
        "Training is robust to the surrogate's shape and sensitive to its scale.",
        ZENKE,
        "Confirmed where H6 (shape), C3 (constant) and C4 (height) are; refuted where one of them is.",
        claims_later.robust_to_shape_alone,
        run("A3b", "tuned.md"),
    ),
    LiteratureClaim(
        "L2",
        "The more complex task and network, the more careful the choice must be.",
        "Herranz-Celotti & Rouat 2024, arXiv:2202.00282 v4",
        "Block A2: the mean distance of all 48 shapes and widths to the best cell, averaged over T2d4, T4, T5, "
        "minus that over T1, T2d1, T3, paired by seed. Confirmed where it is shown larger, refuted where smaller.",
        claims_later.careless_choices_cost_more,
        run("A2", "regime_map.md"),
    ),
    LiteratureClaim(
        "L3",
        "Shallow slopes carry the gradient deeper; supervised training does not gain from scheduling them.",
        "Van den Berghe et al. 2025, NeurIPS, arXiv:2510.24461",
        "Block B1, six quiet layers, an exponential, the lightest tail: confirmed where it is shown to learn more "
        "often at width 4 than at 0.1 (Boschloo) and C12 is confirmed; refuted where it is shown to learn less "
        "often or C12 is refuted.",
        claims_later.wide_reaches_deeper,
        run("B1", "depth.md"),
    ),
    LiteratureClaim(
        "L4",
        "The width is a dilemma: wide makes neurons over-active, narrow makes gradients vanish.",
        "ILIF 2025, arXiv:2505.10371",
        "Block A2, atan, tasks with an accuracy. Confirmed where width 4 is shown to send more spikes than the "
        "best width and width 0.02 to be less accurate, on every task (spikes where every run sent some); "
        "refuted where width 4 is shown to send fewer on one, with Holm's correction.",
        claims_later.width_is_a_dilemma,
        run("A2", "regime_map.md"),
    ),
    LiteratureClaim(
        "L5",
        "Potentials leave a fixed surrogate's window, so that its width must follow them.",
        "MPD-AGL 2025, IJCAI, arXiv:2505.11863",
        "Block F, a width that each layer learns against the best fixed one. Confirmed where it is shown better on "
        "a task and worse on none; refuted where it is shown equal or worse on all four.",
        claims_later.width_must_follow,
        run("F", "README.md"),
    ),
    LiteratureClaim(
        "L6",
        "Asymmetric surrogates whose width adapts are consistently better.",
        "A2SG 2026, ICML, arXiv:2606.11236",
        "Asymmetry alone: a skewed Gaussian (block F) against a symmetric one (A3b) at width 1. Confirmed where it "
        "is shown better on all four tasks; refuted where it is shown equal or worse on one, with Holm's "
        "correction.",
        claims_later.skewed_is_better,
        run("F", "README.md"),
    ),
    LiteratureClaim(
        "L8",
        "Fast sigmoid sends fewer spikes than arctan at equal accuracy.",
        "Aliyev et al. 2024, arXiv:2402.06211; 2026, arXiv:2603.24891",
        "Block A2: spikes that fast_sigmoid needs for the best accuracy minus 2 points over those of atan, over "
        "tasks by random effects. Confirmed where the ratio is shown below 1, refuted where above.",
        claims_later.fewer_spikes_than_arctan,
        run("A2", "spikes.md"),
    ),
    LiteratureClaim(
        "L9",
        "Time constant and threshold have a working region, with silence and saturation outside.",
        "Mazurek et al. 2025, arXiv:2507.14757",
        "Block A1, whose initial gain acts as the inverse of the threshold: a parabola of accuracy in log gain, by "
        "task, over random settings. Confirmed where it is shown to bend down over tasks, refuted where up.",
        claims_later.gain_has_a_working_region,
        run("A1", "references.md"),
    ),
    LiteratureClaim(
        "L10",
        "A surrogate is no gradient and should be the derivative of the escape noise.",
        "Gygax & Zenke 2025, Neural Computation 37(5):886-925; SG-NTK 2024, NeurIPS, arXiv:2405.15539",
        "Confirmed where C7 and C8 are, refuted where one of them is.",
        claims_outside.no_gradient_but_noise,
        reproduce("escape_noise_c8"),
    ),
    LiteratureClaim(
        "L12",
        "One-step back-propagation equals or beats e-prop and its relatives.",
        "Higuchi, Corradi, Bohté & Otte 2026",
        "Block DR, each rule at its own learning rate. Confirmed where one step is shown equal to e-prop within "
        "the margin or better on T4, T5 and T6; refuted where it is shown worse on one. H9, against full "
        "back-propagation, is shown beside it.",
        claims_later.one_step_equals_eprop,
        run("DR", "rules.md"),
    ),
    LiteratureClaim(
        "L13",
        "Online traces alone (OTTT, OSTL) lie below OTPE, and that below back-propagation.",
        "Summe et al. 2023, arXiv:2311.16151",
        "OTPE is not in the catalogue, so that it cannot be confirmed. Refuted where OSTL is shown within 5 points "
        f"of back-propagation, or above, on board `{claims_outside.BOARD}`.",
        claims_outside.traces_lag_behind,
        BOARD,
    ),
    LiteratureClaim(
        "L15",
        "Quadratic neurons beat leaky ones after a thorough search.",
        "Wenig et al. 2026, arXiv:2606.03935",
        "Block ER, each neuron at the best of sixteen random settings, which is no thorough search; the rule is "
        "older than its runs (amendment 11). Confirmed where the quadratic neuron is shown better on T4 and T5, "
        "refuted where it is shown equal within the margin or worse on both.",
        claims_later.quadratic_neurons_win,
        run("ER", "neurons.md"),
    ),
    LiteratureClaim(
        "L16",
        "Surrogate gradients learn pure spike timing.",
        "Yu, Sun, Akarca & Goodman 2025, arXiv:2507.16043",
        "On T1 every input sends exactly one spike, so that counts carry nothing. Confirmed where the cell that "
        "validation chooses in block A2 lies above guessing (95 % interval); refuted where it is shown less than 5 "
        "points above.",
        claims_later.times_are_learnt,
        run("A2", "regime_map.md"),
    ),
    LiteratureClaim(
        "L17",
        "Initialisation decides whether a deep network learns.",
        "Rossbroich et al. 2022, Neuromorphic Computing and Engineering 2(4); Micheli et al. 2024, arXiv:2410.00580",
        "Blocks A2 (four layers) and B1 (six), the lightest tail at width 1. Confirmed where at each depth that is "
        "stored it is shown to learn more often from a driven start (Boschloo); refuted where less often.",
        claims_later.start_decides,
        run("B1", "depth.md"),
    ),
)

UNDECIDABLE = (
    UndecidableClaim(
        "The surrogate must fit the threshold where that is learnt.",
        "TrSG 2026, WACV, arXiv:2511.08708",
        "no block learns thresholds",
    ),
    UndecidableClaim(
        "A network trained as a smooth one loses 30 points when it spikes.",
        "SAST 2026, arXiv:2603.18039",
        "no block trains smooth networks; `firing=soft` records the gap of a run of your own",
    ),
    UndecidableClaim(
        "Hybrid forward rules close the gap to back-propagation with oscillating neurons.",
        "HYPR 2025, arXiv:2506.14464",
        "no block has the rule, or the neuron",
    ),
    UndecidableClaim(
        "Success of an attack depends on the attacker's surrogate.",
        "Xu et al. 2022, arXiv:2209.03358; Wang et al. 2025, arXiv:2512.22522",
        "no block attacks a network",
    ),
    UndecidableClaim(
        "Training without a surrogate is competitive now.",
        "SpikingGamma 2026, arXiv:2602.01978; Eventax 2026, arXiv:2603.08146; EventProp 2022, arXiv:2212.01232",
        "no block trains without one; [three seeds of EventProp](../reproductions.md#yin_yang_times) give no interval",
    ),
)
"""Claims for which no block has runs, so that none of this study can come to a verdict."""
