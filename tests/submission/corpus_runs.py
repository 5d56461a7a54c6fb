"""Hostile heads, records, predictions, weights and tuning logs, each with the words that refuse it."""

from __future__ import annotations

import json
import struct

import numpy as np

from sgbench.records.method import method_id
from tests.leaderboard.factory import CLASSES, method
from tests.submission.factory import (
    INPUTS,
    dump,
    edit,
    logits,
    predictions,
    rerecord,
    reseal,
    sealed,
    submission,
    weights,
)
from tests.submission.lies import (
    F4,
    LAYER,
    WIDE,
    Change,
    accuracy,
    best_of_test,
    cell,
    choice,
    drop,
    drop_seed,
    failed,
    log,
    note,
    note_twice,
    numbered,
    other,
    own,
    predicted,
    put,
    recorded,
    says,
    short_curve,
    spread,
    target,
    tensor,
    weighed,
)

HEAD: dict[str, tuple[Change, str]] = {
    "forged_id": (says(method_id="0" * 12), "is not the id of what is handed in"),
    "path_in_id": (says(method_id="../../etc/x"), "method_id"),
    "path_in_protocol": (says(protocol="../../etc"), "protocol"),
    "path_in_files": (lambda files: note(files, path="../../etc/passwd"), "files.0.path"),
    "absolute_path_in_files": (lambda files: note(files, path="/etc/passwd"), "files.0.path"),
    "unlisted_file": (lambda files: files | {"records/9.json": b"{}"}, "is not in the list of files"),
    "listed_twice": (note_twice, "is named 2 times"),
    "listed_not_there": (lambda files: note(files, path="records/9.json"), "but not here"),
    "forged_hash": (lambda files: note(files, sha256="0" * 64), "has another hash or size"),
    "forged_size": (lambda files: note(files, bytes=1), "has another hash or size"),
    "changed_file": (lambda files: files | {"tuning.json": files["tuning.json"] + b" "}, "has another hash or size"),
    "other_division": (says(division="open"), "the method is closed, not open"),
    "external_with_method": (says(division="external"), "exactly where the division is not external"),
    "fewer_seeds": (says(seeds=[0, 1]), "the seeds have to be all of toy_v1"),
    "seeds_of_ones_own": (says(seeds=[0, 1, 7]), "the seeds have to be all of toy_v1"),
    "from_the_future": (says(created_utc="2999-01-01T00:00:00+00:00"), "was made in the future"),
    "no_time": (says(created_utc="yesterday"), "created_utc"),
    "target_as_number": (
        lambda files: numbered(files, "surrogate", _target_="os.system"),
        "surrogate._target_ is no parameter of atan",
    ),
    "interpolation_as_number": (
        lambda files: numbered(files, "surrogate", width_fwhm="${oc.env:HOME}"),
        "surrogate.width_fwhm is",
    ),
    "object_as_number": (
        lambda files: numbered(files, "surrogate", width_fwhm={"_target_": "os.system"}),
        "a number, text, true, false, null or a list of these",
    ),
    "path_as_entry": (lambda files: choice(files, "surrogate", "../../x"), "surrogate"),
    "unknown_entry": (lambda files: choice(files, "surrogate", "mine"), "is not in the catalogue"),
    "fixed_part_changed": (
        lambda files: submission(of=method(parameters={"optimizer": {"lr": 0.5}})),
        "optimizer.lr is 0.5, the protocol says 0.002",
    ),
}

RECORDS: dict[str, tuple[Change, str]] = {
    "seed_left_out": (lambda files: drop_seed(files, 2), "is missing; failed seeds are handed in too"),
    "seed_too_many": (
        lambda files: reseal(files | {"records/7.json": files["records/0.json"].replace(b'"seed": 0', b'"seed": 7')}),
        "seed 7 is not declared",
    ),
    "seed_renamed": (lambda files: reseal(files | {"records/1.json": files["records/0.json"]}), "is of toy_v1"),
    "other_method": (
        lambda files: reseal(files | {"records/0.json": submission(of=WIDE)["records/0.json"]}),
        "hand in one method's own records",
    ),
    "other_protocol": (recorded("protocol", "digits_v1"), "is not the one of the method"),
    "raised_accuracy": (recorded("test.accuracy", 0.97), "but the record claims an accuracy of 0.97"),
    "accuracy_of_no_samples": (recorded("test.accuracy", 0.9001), "is no whole number of 100 samples"),
    "smaller_test_set": (recorded("test.samples", 10), "counts.samples is 100, test.samples 10"),
    "fewer_spikes": (recorded("counts.layers.0.spikes_sent.total", 1), "is not what 1 events from hidden0 trigger"),
    "fewer_operations": (recorded("counts.layers.0.synapses.0.dense.total", 1_000_001), "no whole number of synapses"),
    "squares_too_small": (spread(1000, 10), "synaptic_operations_squared 1000 is not of 100 samples"),
    "squares_too_large": (spread(10**14, 10**9), "spikes_sent_squared 1000000000 is not of 100 samples"),
    "negative_count": (recorded("counts.layers.0.spikes_sent.total", -1), "greater than or equal to 0"),
    "best_of_test": (best_of_test, "is not the one that validation_loss selects, 10"),
    "other_best_epoch": (recorded("best_epoch", 3), "is not that of epoch 3 of the curve, 0.8"),
    "short_curve": (short_curve, "its curve has 11 epochs of 20"),
    "raised_validation": (
        recorded("validation.accuracy", 1.0),
        "validation.accuracy 1 is not that of epoch 10 of the curve, 0.9",
    ),
    "no_training_time": (recorded("timing.fit_s", 0.0), "its training took no time"),
    "no_versions": (recorded("provenance.versions", {}), "names no version of sgbench and torch"),
    "future_run": (recorded("provenance.created_utc", "2999-01-01T00:00:00+00:00"), "was made in the future"),
    "other_data": (recorded("provenance.data_sha256", "e" * 64), "provenance.data_sha256"),
    "more_classes": (recorded("classes", 2), "'readout' of 2 classes"),
    "failed_of_the_machine": (lambda files: failed(files, "OutOfMemoryError"), "that is not the method's"),
    "failed_with_a_result": (recorded("status", "failed"), "a failure is stated exactly when status is failed"),
    "no_weights_named": (recorded("weights_sha256", None), "names no weights"),
    "record_cut_off": (lambda files: reseal(files | {"records/0.json": files["records/0.json"][:99]}), "not a valid"),
    "number_beyond_bounds": (recorded("test.loss", 1e308), "test.loss: Input should be less than or equal to 1000"),
}

PREDICTIONS: dict[str, tuple[Change, str]] = {
    "none": (drop("predictions/0.csv"), "is missing; make the folder anew"),
    "without_a_record": (put("predictions/9.csv"), "has no record; remove it"),
    "of_another_file": (put("predictions/0.csv", predictions(logits(9), 90)), "is not the file that its record names"),
    "wrong_columns_error": (predicted(lambda lines: ["a,b,c", *lines[1:]]), "the first line names other columns"),
    "two_logits": (
        predicted(lambda lines: [",".join(line.split(",")[:5]) for line in lines[:-1]] + [""]),
        "a class beyond 0..1 is named",
    ),
    "no_logits": (
        predicted(lambda lines: [",".join(line.split(",")[:3]) for line in lines[:-1]] + [""]),
        "10 logits a sample are needed",
    ),
    "order": (predicted(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]]), "sample 0 is missing, doubled"),
    "doubled_sample": (predicted(lambda lines: [*lines[:2], *lines[1:]]), "sample 1 is missing, doubled"),
    "sample_left_out": (predicted(lambda lines: [*lines[:-2], ""]), "of 99 are right"),
    "class_out_of_range": (cell(1, 2, "10"), "a class beyond 0..9 is named"),
    "not_the_largest": (cell(1, 3, "-99"), "the prediction of sample 0 is not its largest logit"),
    "logit_nan": (cell(1, 4, "nan"), "line 2 is not 13 numbers"),
    "logit_infinite": (cell(1, 4, "-1e999"), "a logit is beyond 1e+100"),
    "hexadecimal": (cell(1, 4, "0x10"), "line 2 is not 13 numbers"),
    "underscore": (cell(1, 4, "1_0"), "line 2 is not 13 numbers"),
    "formula_cell": (cell(1, 4, "=1+1"), "line 2 is not 13 numbers"),
    "unicode_digit": (cell(1, 4, "\u0663"), "not a table of predictions"),
    "windows_lines": (predicted(lambda lines: [line + "\r" for line in lines]), "its lines end in CR LF"),
    "no_last_newline": (predicted(lambda lines: lines[:-1]), "end in one newline"),
    "endless_cell": (cell(1, 4, "1" * 100_000), "line 2 is not 13 numbers"),
    "other_layout": (
        lambda files: reseal(files | {"records/0.json": dump(json.loads(files["records/0.json"]))}),
        "is laid out otherwise than a run writes it",
    ),
    "edited_target": (target, "of its labels are not the first seed's"),
    "copied_seed": (
        lambda files: rerecord(accuracy(files, 1, 0.9), 1, predictions=files["predictions/0.csv"]),
        "answers like seed 0",
    ),
    "nearly_copied_seed": (
        lambda files: rerecord(accuracy(files, 1, 0.9), 1, predictions=predictions(logits(0) + 1e-4, 90)),
        "answers like seed 0",
    ),
}

WEIGHTS: dict[str, tuple[Change, str]] = {
    "none": (drop("weights/0.safetensors"), "is missing; make the folder anew"),
    "of_another_file": (put("weights/0.safetensors", tensor(shape=[INPUTS, 4])), "is not the file that its record"),
    "too_short": (weighed(b"\x00"), "too short for a safetensors file"),
    "pickle": (weighed(b"\x80\x04\x95" + b"\x00" * 64), "no safetensors file"),
    "zip": (weighed(b"PK\x03\x04" + b"\x00" * 64), "no safetensors file: a header of"),
    "endless_header": (weighed(struct.pack("<Q", 2**63) + b"{}"), "does not fit"),
    "header_no_json": (weighed(sealed(b"!!python/name:os.system", b"")), "not a valid JSON file"),
    "header_doubled_key": (
        weighed(sealed(b'{"a": %b, "a": %b}' % ((json.dumps(LAYER).encode(),) * 2), b"\0" * 112)),
        "stands twice",
    ),
    "header_nested": (weighed(sealed(b"[" * 9999 + b"]" * 9999, b"")), "nested too deeply"),
    "header_empty": (weighed(sealed(b"{}", b"")), "the header names no tensor"),
    "metadata": (
        weighed(sealed(json.dumps({"__metadata__": {"x": "<b>"}, "a": LAYER}).encode(), b"\0" * 112)),
        "holds metadata",
    ),
    "half_precision": (weighed(weights({"a": np.ones(68, "<f2")})), "is of dtype"),
    "integers": (weighed(weights({"a": np.ones(68, "<i8")})), "is of dtype"),
    "no_mask": (weighed(weights({"a": np.full(68, 2, "u1")})), "holds more than 0 and 1"),
    "weights_as_mask": (weighed(weights({"a": np.ones(68, "?")})), "holds 0 numbers"),
    "double_precision": (
        weighed(weights({"layers.0.weight": np.ones((4, INPUTS)), "layers.1.weight": np.ones((CLASSES, 4))})),
        "is F64, the protocol computes in float32",
    ),
    "not_a_number": (weighed(weights({"a": np.full(68, np.nan, F4)})), "holds NaN or infinity"),
    "infinite": (weighed(weights({"a": np.full(68, -np.inf, F4)})), "holds NaN or infinity"),
    "transposed": (
        weighed(weights({"layers.0.weight": np.ones((INPUTS, 4), F4), "layers.1.weight": np.ones((CLASSES, 4), F4)})),
        "its layer 4 neurons",
    ),
    "too_few": (weighed(weights({"layers.0.weight": np.ones((4, 2), F4)})), "the record has 68 parameters"),
    "layer_too_many": (
        weighed(weights({"layers.9.weight": np.ones((4, 17), F4)})),
        "of a layer that the record has not",
    ),
    "shape_of_other_bytes": (weighed(tensor(shape=[4, 99])), "has another number of bytes than its shape"),
    "shape_overflow": (weighed(tensor(shape=[2**47, 2**47])), "has another number of bytes than its shape"),
    "negative_shape": (weighed(tensor(shape=[-4, -7])), "is no list of sizes"),
    "overlapping": (weighed(tensor(data_offsets=[4, 4 + 4 * INPUTS * 4])), "overlap others or leave a gap"),
    "nothing_learnt": (weighed(weights(value=0.0)), "holds nothing but zeros"),
    "nothing_learnt_but_signs": (weighed(weights(value=-0.0)), "holds nothing but zeros"),
    "of_another_seed": (
        lambda files: rerecord(files, 1, weights=files["weights/0.safetensors"]),
        "are the weights of seed 0",
    ),
    "truncated": (weighed(weights()[:-8]), "bytes belong to no tensor"),
    "hidden_bytes": (weighed(weights() + b"payload!"), "bytes belong to no tensor"),
    "extra_key": (weighed(tensor(code="import os")), "needs dtype, shape and data_offsets alone"),
}

TUNING: dict[str, tuple[Change, str]] = {
    "none": (drop("tuning.json"), "is missing; an untuned method hands in an empty log"),
    "test_score_in_it": (log(own(), other(test_accuracy=0.9)), "Extra inputs are not permitted"),
    "not_what_validation_selects": (log(own(), other(validation_loss=0.01)), "hand in what it selects"),
    "forged_settings": (log(own(), other(settings={"surrogate.width_fwhm": "3"})), "are not those of that id"),
    "run_twice": (log(own(), own()), "stands 2 times"),
    "own_runs_missing": (log(other()), "is not among its own trials"),
    "says_otherwise_than_record": (log(own(validation_loss=0.01), other()), "says otherwise of seed 0"),
    "untold_trials": (log(own(), other(), told=1), "holds 2 settings, submission.json says 1"),
    "another_methods_log": (
        lambda files: edit(files, "tuning.json", method_id=method_id(WIDE)),
        "is the log of another method",
    ),
    "failed_with_a_score": (log(own(), other(status="failed")), "stated exactly when status is finished"),
}
