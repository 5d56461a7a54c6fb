"""Hostile submissions: each a change to an honest one, with the words that refuse it."""

from __future__ import annotations

import os

from tests.submission.corpus_runs import HEAD, PREDICTIONS, RECORDS, TUNING, WEIGHTS
from tests.submission.lies import (
    Change,
    Place,
    everywhere,
    grow,
    grow_all,
    inside,
    link,
    link_folder,
    log,
    many,
    other,
    own,
    put,
    raw,
    recorded,
    rewritten,
    says,
    without,
)

FOLDER: dict[str, tuple[Place, str]] = {
    "linked_file": (lambda root: link(root / "records/0.json"), "is a link, and none is followed"),
    "linked_folder": (lambda root: link_folder(root / "weights"), "is a link, and none is followed"),
    "link_to_nowhere": (lambda root: (root / "x").symlink_to("/nowhere"), "is a link, and none is followed"),
    "pipe": (lambda root: os.mkfifo(root / "records" / "7.json"), "is no regular file"),
    "folder_of_its_own": (lambda root: (root / "code").mkdir(), "no such folder belongs here"),
    "folder_in_a_folder": (lambda root: (root / "records/deep").mkdir(), "no such folder belongs here"),
    "large_json": (lambda root: grow(root / "tuning.json", 5), "is larger than 4 MiB"),
    "large_predictions": (lambda root: grow(root / "predictions/0.csv", 65), "is larger than 64 MiB"),
    "large_weights": (lambda root: grow(root / "weights/0.safetensors", 65), "is larger than 64 MiB"),
    "large_altogether": (grow_all, "all files together exceed 512 MiB"),
    "four_thousand_files": (many, "more than 3002 files"),
    "no_json": (lambda root: (root / "submission.json").unlink(), "is missing; make the folder"),
}

NAMES: dict[str, tuple[Change, str]] = {
    "python": (put("conftest.py"), "belongs to no submission"),
    "workflow": (put("ci.yml"), "belongs to no submission"),
    "pickle": (put("weights/0.pkl", b"\x80\x04K\x01."), "files of weights are called SEED.safetensors"),
    "zip_bomb": (put("records/0.zip", b"PK\x03\x04" + b"\0" * 64), "files of records are called SEED.json"),
    "gzip": (put("predictions/0.csv.gz", b"\x1f\x8b\x08"), "files of predictions are called SEED.csv"),
    "hidden": (put(".gitattributes"), "belongs to no submission"),
    "cyrillic_name": (put("submissi\u043en.json"), "belongs to no submission"),
    "right_to_left_name": (put("records/\u202e0.json"), "files of records are called SEED.json"),
    "arabic_digit": (put("records/\u0661.json"), "files of records are called SEED.json"),
    "leading_zero": (put("records/00.json"), "files of records are called SEED.json"),
    "upper_case": (put("records/0.JSON"), "files of records are called SEED.json"),
    "control_in_name": (put("records/0\x1b[2J.json"), "files of records are called SEED.json"),
}

JSON: dict[str, tuple[Change, str]] = {
    "truncated": (lambda files: rewritten(files, lambda data: data[:100]), "not a valid JSON file"),
    "empty": (lambda files: rewritten(files, lambda data: b""), "not a valid JSON file"),
    "binary": (lambda files: rewritten(files, lambda data: bytes(range(256))), "not a valid JSON file"),
    "byte_order_mark": (lambda files: rewritten(files, lambda data: b"\xef\xbb\xbf" + data), "submission.json"),
    "utf_16": (lambda files: rewritten(files, lambda data: data.decode().encode("utf-16")), "submission.json"),
    "lone_surrogate": (says(name="a\ud800"), "submission.json"),
    "doubled_key": (raw(b'"division"', b'"name": "x", "division"'), "stands twice"),
    "nan": (raw(b'"tuning_trials": 0', b'"tuning_trials": NaN'), "NaN is not a number"),
    "infinity": (raw(b'"tuning_trials": 0', b'"tuning_trials": -Infinity'), "-Infinity is not a number"),
    "beyond_floats": (raw(b'"dt_s": 0.001', b'"dt_s": 1e999'), "submission.json"),
    "no_data": (says(data_sha256=None), "data_sha256 is null"),
    "other_data_in_the_head": (says(data_sha256="e" * 64), "data_sha256 is eeee"),
    "huge_integer": (says(tuning_trials=10**400), "less than or equal to 9223372036854775807"),
    "endless_digits": (raw(b'"tuning_trials": 0', b'"tuning_trials": ' + b"9" * 5000), "submission.json"),
    "nested_deeply": (lambda files: rewritten(files, lambda data: b"[" * 9999 + b"]" * 9999), "nested too deeply"),
    "list": (lambda files: rewritten(files, lambda data: b"[]"), "submission.json"),
    "yaml_tag": (lambda files: rewritten(files, lambda data: b"!!python/object/apply:os.system ['id']"), "not a valid"),
    "unknown_key": (says(_target_="os.system"), "_target_: Extra inputs are not permitted"),
    "missing_key": (lambda files: without(files, "licence"), "licence: Field required"),
    "version_to_come": (says(schema_version=2), "schema_version"),
    "version_true": (says(schema_version=True), "a whole number is needed"),
    "text_for_a_number": (says(tuning_trials="0"), "tuning_trials"),
    "null_byte": (says(name="a\x00b"), "name: Latin letters"),
}

TEXT: dict[str, tuple[Change, str]] = {
    "html": (says(name="<img src=x onerror=alert(1)>"), "name: Latin letters"),
    "markdown_link": (says(name="[me](https://evil.example)"), "name: Latin letters"),
    "table_cell": (says(name="a | 100.00 | 1"), "name: Latin letters"),
    "code_span": (says(name="a ` b"), "name: Latin letters"),
    "line_end": (says(name="a\n# owned"), "name: Latin letters"),
    "escape_sequence": (says(name="\x1b[2Jcleared"), "name: Latin letters"),
    "right_to_left": (says(name="a\u202eb"), "name: Latin letters"),
    "zero_width": (says(name="at\u200ban"), "name: Latin letters"),
    "homoglyph": (says(name="at\u0430n"), "name: Latin letters"),
    "combining": (says(name="a\u0301tan"), "name: Latin letters"),
    "formula": (says(name="=HYPERLINK(1)"), "a letter or digit first"),
    "at_sign_mention": (says(name="@everyone look"), "name: Latin letters"),
    "address_in_name": (says(name="see https:evil.example"), "an address belongs into the field paper or code"),
    "long_name": (says(name="a" * 81), "at most 80 characters"),
    "empty_name": (says(name=""), "at least 1 character"),
    "padded_name": (says(name=" atan"), "name: Latin letters"),
    "script_address": (says(code="javascript:alert(1)"), "code: an address that begins with https://"),
    "plain_http": (says(code="http://example.org"), "code: an address that begins with https://"),
    "file_address": (says(code="file:///etc/passwd"), "code: an address that begins with https://"),
    "user_in_address": (says(code="https://github.com@evil.example/x"), "code: an address that begins"),
    "markup_in_address": (says(code='https://a.example/"><script>'), "code: an address that begins"),
    "international_host": (says(code="https://g\u0456thub.com/x"), "code: an address that begins"),
    "odd_paper": (says(paper="doi:10.1/](x)"), "paper: an address that begins with https://"),
    "contact_header": (says(contact="a@b.example\nBcc: c@d.example"), "contact: a mail address"),
    "contact_markup": (says(contact="<b>@x"), "contact: a mail address"),
    "licence_unknown": (says(licence="all mine"), "licence"),
    "markup_in_environment": (
        lambda files: inside(files, "environment", python="3.11\x1b[31m"),
        "text without control characters",
    ),
    "html_in_environment": (
        lambda files: inside(files, "environment", processor="<img src=x onerror=alert(1)>"),
        "environment.processor: plain text is needed",
    ),
    "html_as_a_version": (
        lambda files: inside(files, "environment", versions={"<b>": "1"}),
        "environment.versions: plain text is needed",
    ),
    "html_in_protocol": (
        lambda files: everywhere(files, lambda tree: tree["protocol"].update(about="<script>alert(1)</script>")),
        "method.protocol.about: plain text is needed",
    ),
    "markdown_in_protocol": (
        lambda files: everywhere(files, lambda tree: tree["protocol"].update(about="see [here](evil.example)")),
        "method.protocol.about: plain text is needed",
    ),
    "html_in_provenance": (
        recorded("provenance.platform", "<b>Linux</b>"),
        "provenance.platform: plain text is needed",
    ),
    "mention_in_provenance": (
        recorded("provenance.engine_reason", "ask @everyone"),
        "provenance.engine_reason: plain text is needed",
    ),
    "address_in_provenance": (
        recorded("provenance.processor", "https:evil.example"),
        "provenance.processor: plain text is needed",
    ),
    "homoglyph_in_provenance": (recorded("provenance.device", "cp\u0443"), "provenance.device: plain text is needed"),
    "escape_in_activity": (
        recorded("validation.activity.0.name", "\x1b[2J"),
        "validation.activity.0.name: plain text is needed",
    ),
    "escape_in_counts": (recorded("counts.layers.0.neuron", "\x1b[2J"), "counts.layers.0.neuron: plain text is needed"),
    "html_in_validation_activity": (
        recorded("validation.activity.0.name", "<i>hidden0</i>"),
        "validation.activity.0.name: plain text is needed",
    ),
    "html_in_tuning": (
        log(own(), other(settings={"surrogate.width_fwhm": "<b>2</b>"})),
        "trials.1.settings.surrogate.width_fwhm: plain text is needed",
    ),
}

CONTENT: dict[str, tuple[Change, str]] = {
    f"{kind}-{name}": case
    for kind, cases in {
        "name": NAMES,
        "json": JSON,
        "text": TEXT,
        "head": HEAD,
        "record": RECORDS,
        "predictions": PREDICTIONS,
        "weights": WEIGHTS,
        "tuning": TUNING,
    }.items()
    for name, case in cases.items()
}
