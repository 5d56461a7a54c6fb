"""The recommendations for each kind of network on the front page of the boards."""

from sgbench.leaderboard.site.beside import Advice
from sgbench.recommendation.answer import NetworkAdvice, StudyAnswer, read_answer, shipped_answer


def shipped_advice() -> tuple[Advice, ...]:
    """List the shipped advice for each kind of network; empty without the file."""
    return advice_by_kind(read_answer()) if shipped_answer().is_file() else ()


def advice_by_kind(answer: StudyAnswer) -> tuple[Advice, ...]:
    """Convert the advice for each kind of network to texts of the front page."""
    return tuple(map(_advice, answer.networks))


def _advice(advice: NetworkAdvice) -> Advice:
    settings = advice.settings["accuracy"]
    return Advice(
        network=advice.network,
        command=advice.command,
        settings=tuple((one.surrogate, one.width_fwhm) for one in settings),
        attached=all(one.reset_gradient == "attached" for one in settings),
        provisional=advice.provisional or "",
        losses=tuple((one.mean_loss, one.worst_loss, one.rests_on) for one in settings),
        doubt=advice.doubt,
    )
