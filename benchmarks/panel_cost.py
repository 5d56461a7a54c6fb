"""What a diagnosis costs beside an epoch of training: ratios, measured in turns in one process.

    python -m benchmarks.panel_cost [WORDS] [--repeats 5]

WORDS are those of a run, default: experiment=digits. The load of the machine is printed beside the ratios.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", default=["experiment=digits"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=4, help="of a diagnosis, default: 4")
    args = parser.parse_args()
    from sgbench.records.diagnosis import PANELS
    from sgbench.training.diagnose import diagnose_run
    from sgbench.training.stored_run import prepare_pass, stored_run
    from sgbench.training.train_step import TrainLoop

    run = stored_run(args.words)
    parts = run.parts
    parts.data.setup()
    loop = TrainLoop(parts.network, parts.rule, parts.objective, clip_norm=None)

    def epoch() -> None:
        prepare_pass(run, "train", 0)
        for batch in parts.data.epoch(0):
            loop.train_batch(batch, parts.optimizer)

    def panels(*names: str) -> Callable[[], object]:
        return lambda: diagnose_run(run, "initial", names, args.batches)

    contenders: dict[str, Callable[[], object]] = {"epoch": epoch}
    contenders |= {name: panels(name) for name in PANELS} | {"flow and activity": panels("flow", "activity")}
    times_s: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(args.repeats + 1):  # the first one compiles and is left out
        for name, contender in contenders.items():
            began_s = time.process_time()
            contender()
            if turn:
                times_s[name].append(time.process_time() - began_s)
    epoch_s = statistics.median(times_s["epoch"])
    load = os.getloadavg()[0]
    sys.stdout.write(f"{' '.join(args.words)}, {args.batches} batches, load {load:.1f}; CPU time by that of an epoch\n")
    for name, own in times_s.items():
        ratios = [time_s / epoch_s for time_s in own]
        sys.stdout.write(f"{name:<18} {statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})\n")


if __name__ == "__main__":
    main()
