"""`python -m sgbench` is the command `sgbench`."""

from __future__ import annotations

import sys

from sgbench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
