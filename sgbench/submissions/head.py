"""Checks submission.json against the files of the submission and against its protocol."""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.leaderboard.division import division_of
from sgbench.records.files import read_bytes
from sgbench.records.submission import Submission
from sgbench.submissions.folder import FOLDERS, SUBMISSION, Contents, Problem
from sgbench.tables import ranges

MAX_AHEAD = timedelta(days=1)
BOASTS = (
    *("verif", "rank", "referenc", "author", "official", "rescore", "reinfer", "retrain", "sgbench", "maintain"),
    *("accepted", "approv", "audit", "certif", "champion", "checked", "confirm", "passed", "reproduc", "sota", "winn"),
)
"""Beginnings of words by which a name would claim a status that only a board assigns."""
PLACES = re.compile(
    r"\b(?:1st|2nd|3rd|first|second|third|top|best|number one)\W*(?:place|prize|row|board|method|surrogate|overall"
    r"|of all|result|score)s?\b|\b(?:no|nr|number|place|top)\W*[0-9]+\b|\bstate of the art\b|\ball (?:tiers|checks)\b"
    r"|\bof the (?:boards?|leaderboards?)\b",
    re.IGNORECASE,
)
"""Places on a board, in words and numbers."""


def file_list_problems(contents: Contents, submission: Submission) -> Iterator[Problem]:
    """Yield a problem for each file that submission.json does not list, or lists with another hash or size."""
    noted = {note.path: note for note in submission.files}
    for path in contents.files:
        if path not in noted and path != SUBMISSION:
            yield Problem("files", path, "is not in the list of files of submission.json; make the folder anew")
    for path, note in noted.items():
        if path not in contents.files:
            yield Problem("files", path, "is in the list of files of submission.json, but not here")
            continue
        folder = path.partition("/")[0]
        limit = (FOLDERS.get(folder) or FOLDERS["records"]).max_bytes
        data = read_bytes(contents.files[path], limit=limit)
        if (hashlib.sha256(data).hexdigest(), len(data)) != (note.sha256, note.bytes):
            yield Problem("hash", path, "has another hash or size than submission.json says; make the folder anew")


def header_problems(submission: Submission, reference: ProtocolReference) -> Iterator[Problem]:
    """Yield a problem for each statement of submission.json that does not fit the protocol or cannot be true.

    Checked are the protocol itself, seeds, division, name, data, date, paper or code, and environment.
    """
    protocol = reference.protocol
    if protocol.superseded_by is not None:
        yield Problem("protocol", SUBMISSION, f"{protocol.name} is superseded by {protocol.superseded_by}; use that")
    if submission.seeds not in protocol.complete_seeds:
        *partial_sets, all_seeds = protocol.complete_seeds
        counts = "".join(f"the first {len(seeds)} or " for seeds in partial_sets)
        yield Problem("seeds", SUBMISSION, f"the seeds have to be {counts}all of {protocol.name}: {ranges(all_seeds)}")
    if submission.method is not None:
        division = division_of(submission.method, reference)
        if division != submission.division:
            yield Problem("division", SUBMISSION, f"the method is {division}, not {submission.division}")
    for word in status_words(submission.name):
        message = f"its name says '{word}', which a board alone says of a method; choose another name"
        yield Problem("name", SUBMISSION, message)
    yield from _data_problems(submission, reference)
    if datetime.fromisoformat(submission.created_utc) > datetime.now(UTC) + MAX_AHEAD:
        yield Problem("date", SUBMISSION, "was made in the future; correct the clock and make it anew")
    if submission.paper is None and submission.code is None:
        message = "names neither paper nor code; add --paper or --code so that readers find the method"
        yield Problem("source", SUBMISSION, message, "warning")
    environment = submission.environment
    if environment is not None and not environment.clean:
        message = "was made from changed or unknown code, so nobody can go back to it; run from a clean commit"
        yield Problem("commit", SUBMISSION, message, "warning")


def status_words(name: str) -> list[str]:
    """List the words of a name that claim a check, a rank or a status.

    >>> status_words("Reference of the authors, v\u00e9rified, rank 1"), status_words("Frank's preferences")
    (['Reference', 'authors', 'v\u00e9rified', 'rank'], [])
    >>> status_words("1st place, passed all tiers"), status_words("e-prop, first spikes alone")
    (['passed', '1st place', 'all tiers'], [])
    """
    status_claims = []
    with_joined_words = f"{name} {name.replace('-', '')}"  # "re-trained" is looked for as "retrained" too
    for word in dict.fromkeys(re.findall(r"[^\W\d_]+", with_joined_words)):
        without_accents = "".join(letter for letter in unicodedata.normalize("NFKD", word) if letter.isalpha())
        if without_accents.lower().startswith(BOASTS):
            status_claims.append(word)
    plain = " ".join(unicodedata.normalize("NFKD", name).replace("-", " ").split())
    return [*status_claims, *(match.group() for match in PLACES.finditer(plain))]


def _data_problems(submission: Submission, reference: ProtocolReference) -> Iterator[Problem]:
    """Yield a problem if the hash of the data in submission.json is not the published one.

    Code outside the catalogue may state none. Data that no maintainer has accepted are compared only if a hash is
    published.
    """
    # If each seed draws its own data, each record names their hash.
    published = None if reference.protocol.draw == "per_seed" else reference.facts.sha256
    stated = submission.data_sha256
    if published is None and not reference.facts.is_accepted:
        return
    if stated != published and not (stated is None and submission.division == "external"):
        message = f"data_sha256 is {stated or 'null'}, the data of {reference.protocol.name} have {published}"
        yield Problem("data", SUBMISSION, f"{message}; make the folder anew")
