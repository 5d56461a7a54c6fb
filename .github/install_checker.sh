#!/usr/bin/env bash
# install_checker.sh CHECKOUT: sgbench of a checkout, and what it needs as the lock files beside this script name it.
set -euo pipefail

here=$(dirname "$0")
# A build in isolation would fetch its tools without a look at their hashes, so they are installed first.
python -m pip install --quiet --require-hashes -r "$here/build.lock"
python -m pip install --quiet --require-hashes --no-build-isolation -r "$here/checker.lock"
python -m pip install --quiet --no-deps --no-build-isolation "${1:?name the checkout of sgbench}"
