"""The schemas of everything that is stored, for tools that are not this one: `python -m tools.schema`."""

import argparse
import json
from pathlib import Path

from pydantic import BaseModel

from sgbench.records.audit import Audit, Repetition
from sgbench.records.files import write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.submission import ExternalRecord, Notice, Submission, TuningLog, Verification

SCHEMAS: dict[str, type[BaseModel]] = {
    "record": RunRecord,
    "submission": Submission,
    "external_record": ExternalRecord,
    "tuning_log": TuningLog,
    "verification": Verification,
    "notice": Notice,
    "audit": Audit,
    "repetition": Repetition,
}
VERSION = 1
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ABOUT = (
    "What a schema cannot say is checked by 'sgbench board check' and 'sgbench submit check': that ids are those "
    "of their methods, that numbers follow from each other, that no key stands twice."
)


def schema(name: str) -> str:
    """Write the JSON Schema of one kind of file.

    >>> '"title": "RunRecord"' in schema("record")
    True
    """
    tree = SCHEMAS[name].model_json_schema()
    about = {"$schema": DIALECT, "$id": file_name(name), "$comment": ABOUT}
    return json.dumps(about | tree, indent=1, sort_keys=True) + "\n"


def file_name(name: str) -> str:
    return f"{name}.v{VERSION}.schema.json"


def write(folder: Path) -> None:
    for name in SCHEMAS:
        write_atomic(folder / file_name(name), schema(name).encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs/schema"))
    write(parser.parse_args().folder)
