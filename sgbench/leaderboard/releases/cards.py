"""Write the metadata of a release: for Zenodo, a citation, Croissant, and a README."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sgbench.records.release import ReleasedRow, RowChange
from sgbench.tables import counted
from sgbench.tables.markup import markdown

TITLE = "sgbench boards"
ABOUT = (
    "Ranked results of surrogate gradients, neurons and learning rules of spiking neural networks: every record "
    "behind each row, with seeds, exact operation counts, energies from published prices, and what was verified."
)
KEYWORDS = ("spiking neural networks", "surrogate gradient", "neuromorphic computing", "benchmark")
AUTHORS = "The sgbench authors"
LICENCE = "MIT"
SPDX = "https://spdx.org/licenses/MIT.html"
CROISSANT = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field"),
            *("fileProperty", "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset"),
            *("jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
            "repeated",
            *("replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
"""The JSON-LD context that the specification of Croissant 1.1 gives."""
TABLES = {
    "rows": "A line for each row of a board: its rank, its score with the interval over seeds, its costs.",
    "records": "A line for each run of a method with one seed: scores, counts, circumstances, and its settings.",
}


def cards(
    name: str,
    commit: str,
    created_utc: str,
    files: Mapping[str, bytes],
    rows: Sequence[ReleasedRow],
    changes: Sequence[RowChange],
) -> dict[str, bytes]:
    """Map the names of a release's metadata files to their contents; equal releases give equal bytes."""
    return {
        ".zenodo.json": _json(_zenodo(name, commit, created_utc)),
        "CITATION.cff": _citation(name, commit, created_utc).encode(),
        "README.md": _readme(name, commit, created_utc, rows, changes).encode(),
        "croissant.json": _json(_croissant(name, created_utc, files)),
    }


def _json(tree: object) -> bytes:
    return (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode()


def _zenodo(name: str, commit: str, created_utc: str) -> dict[str, Any]:
    """Return the description of a release for Zenodo."""
    return {
        "title": f"{TITLE}, release {name}",
        "upload_type": "dataset",
        "description": f"<p>{ABOUT}</p><p>Commit {commit}.</p>",
        "creators": [{"name": AUTHORS}],
        "version": name,
        "publication_date": created_utc[:10],
        "license": LICENCE,
        "access_right": "open",
        "keywords": list(KEYWORDS),
    }


def _citation(name: str, commit: str, created_utc: str) -> str:
    """Write the CITATION.cff of a release."""
    lines = [
        "cff-version: 1.2.0",
        "message: If you use these results, please cite this release and the papers of the methods (sgbench cite).",
        f'title: "{TITLE}, release {name}"',
        "type: dataset",
        f'version: "{name}"',
        f"date-released: {created_utc[:10]}",
        f"commit: {commit}",
        f"license: {LICENCE}",
        "authors:",
        f"  - name: {AUTHORS}",
        "keywords:",
        *(f"  - {keyword}" for keyword in KEYWORDS),
    ]
    return "\n".join(lines) + "\n"


def _readme(name: str, commit: str, created_utc: str, rows: Sequence[ReleasedRow], changes: Sequence[RowChange]) -> str:
    """Write README.md of a release: its boards, and the changes since the release before."""
    boards = Counter(row.protocol for row in rows)
    lines = [
        f"# {TITLE}, release {name}",
        "",
        f"{ABOUT} Commit {commit}, {created_utc[:10]}, the last that changed a file of the boards.",
        "",
        "`sgbench board verify-release ARCHIVE` computes every table anew from the records in here, and",
        "`sgbench board update ARCHIVE` lets `sgbench board show`, `explain` and `across` answer from it.",
        "",
        f"{counted(len(rows), 'row')} of {counted(len(boards), 'board')}:",
        "",
        markdown(["board", "rows"], [[board, str(count)] for board, count in sorted(boards.items())], numbers=[1]),
        "",
        "## Since the release before",
        "",
    ]
    if changes:
        table = [[change.kind, change.protocol, change.method_id, change.method, change.said] for change in changes]
        lines.append(markdown(["what", "board", "id", "method", "rank and score"], table, numbers=[]))
    else:
        lines.append("No row is new, withdrawn or moved, or there was no release before.")
    return "\n".join(lines).rstrip("\n") + "\n"


def _croissant(name: str, created_utc: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Describe the tables of a release in the Croissant format of data sets."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        "name": f"sgbench-boards-{name}",
        "description": ABOUT,
        "license": SPDX,
        "url": "https://spdx.org/licenses/MIT.html",
        "creator": {"@type": "Organization", "name": AUTHORS},
        "citeAs": f"{AUTHORS}. {TITLE}, release {name}. {created_utc[:4]}.",
        "keywords": list(KEYWORDS),
        "version": f"{name}",
        "datePublished": created_utc[:10],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{table}.csv",
                "name": f"{table}.csv",
                "description": about,
                "contentUrl": f"{table}.csv",
                "encodingFormat": "text/csv",
                "sha256": hashlib.sha256(files[f"{table}.csv"]).hexdigest(),
            }
            for table, about in TABLES.items()
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": table,
                "name": table,
                "description": about,
                "field": [_field(table, column, cells) for column, cells in _columns(files[f"{table}.csv"])],
            }
            for table, about in TABLES.items()
        ],
    }


def _columns(data: bytes) -> list[tuple[str, list[str]]]:
    head, *lines = csv.reader(io.StringIO(data.decode()))
    return [(name, [line[index] for line in lines]) for index, name in enumerate(head)]


def _field(table: str, column: str, cells: Sequence[str]) -> dict[str, Any]:
    """Describe a column of a table in the Croissant format."""
    return {
        "@type": "cr:Field",
        "@id": f"{table}/{column}",
        "name": column,
        "description": column.replace("_", " "),
        "dataType": _type([cell for cell in cells if cell]),
        "source": {"fileObject": {"@id": f"{table}.csv"}, "extract": {"column": column}},
    }


def _type(cells: Sequence[str]) -> str:
    """Return the narrowest Croissant type that all cells of a column have; none of the cells is empty."""
    for name, read in (("sc:Integer", int), ("sc:Float", float)):
        try:
            for cell in cells:
                read(cell)
        except ValueError:
            continue
        return name if cells else "sc:Text"
    return "sc:Boolean" if cells and set(cells) <= {"true", "false"} else "sc:Text"
