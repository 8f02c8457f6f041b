"""A fit beside other busy processes on two cores: its time over its fair share.

    python benchmarks/contention.py --out results/contention.json

The same fit is made in three processes, in turn: on one thread, which says how many CPU seconds the work needs; as
PyTorch comes, with two threads that turn round while they wait (once for each number of neighbours); and as `cpvae fit`
does it. Its neighbours are processes that count. All share two cores.

The fair share is the part of a core that a neighbour had meanwhile. The time over the fair share is the time of the
fit, times that part, over the CPU seconds of the work: 1 is one of several equal processes. Without neighbours the part
is that of the time in which the fit was ready to run and did. So work of other processes on the machine does not count
against the fit. This runs on Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.files import write_json
from cpvae.fitting.devices.waiting import ASLEEP
from cpvae.study.evidence import evidence

NEIGHBOURS = (0, 1, 2, 4)
FITS = {  # rows, columns and the size of a step
    "8 x 8 pixels, batch 100": (500, 64, 100),
    "28 x 28 pixels, batch 200": (800, 784, 200),
}
SIDES = ("one thread", "before", "after")
COUNT = "while True: pass"
CHILD = """
import json, sys, time, warnings
side, fits = sys.argv[1], json.loads(sys.argv[2])
if side == "after":
    from cpvae.fitting.devices.waiting import wait_asleep
    wait_asleep()
import numpy as np
from cpvae import CPVAE
from cpvae.fitting.devices import threads
from cpvae.fitting.devices.memory import keep_freed
keep_freed()
warnings.simplefilter("ignore")
if side != "after":
    threads.WORK = 1e-9
rows = {name: np.random.RandomState(0).rand(n, features) for name, (n, features, _) in fits.items()}

def waited():
    return np.array([int(word) for word in open("/proc/self/schedstat").read().split()[:2]])

print("ready", flush=True)
for name in map(str.strip, sys.stdin):
    model = CPVAE(10, init="random", max_epochs=1, batch_size=fits[name][2], random_state=0)
    wall, cpu, before = time.perf_counter(), time.process_time(), waited()
    model.fit(rows[name])
    ran, ready = waited() - before
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, ran / (ran + ready)]), flush=True)
"""


def child(side: str) -> subprocess.Popen[str]:
    """Start a process that fits as one side does."""
    environment = {name: value for name, value in os.environ.items() if name not in ASLEEP}
    environment["OMP_NUM_THREADS"] = "1" if side == "one thread" else "2"
    command = [sys.executable, "-c", CHILD, side, json.dumps(FITS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def seconds_of(process: subprocess.Popen[Any]) -> float:
    """Read the CPU seconds of a process."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def fit(process: subprocess.Popen[str], name: str, n: int) -> dict[str, float]:
    """Have a process fit beside n neighbours; give its seconds, its CPU seconds and the fair share of a core."""
    assert process.stdin is not None
    assert process.stdout is not None
    others = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(n)]
    try:
        time.sleep(0.3)
        began, before = time.perf_counter(), [seconds_of(other) for other in others]
        print(name, file=process.stdin, flush=True)
        wall, cpu, ready = json.loads(process.stdout.readline())
        took = time.perf_counter() - began
        shares = [(seconds_of(other) - one) / took for other, one in zip(others, before, strict=True)]
    finally:
        for other in others:
            other.kill()
            other.wait()
    return {"seconds": wall, "cpu_seconds": cpu, "fair_share": float(np.mean(shares)) if shares else ready}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    load = [os.getloadavg()[0]]
    children = {side: child(side) for side in SIDES}
    found: dict[str, dict[str, Any]] = {}
    for name in FITS:
        for process in children.values():
            fit(process, name, 0)  # the first is slower
        for n in NEIGHBOURS:
            runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for i in range(args.rounds):
                for side, process in children.items():
                    if side != "before" or i == 0:
                        runs[side].append(fit(process, name, n))
            work = float(np.median([run["cpu_seconds"] for run in runs["one thread"]]))
            ratios = {
                side: float(np.median([run["seconds"] * run["fair_share"] / work for run in runs[side]]))
                for side in SIDES
            }
            seconds = {side: float(np.median([run["seconds"] for run in runs[side]])) for side in SIDES}
            found.setdefault(name, {})[str(n)] = {"over_fair_share": ratios, "seconds": seconds, "work": work}
            print(name, n, {side: round(ratio, 2) for side, ratio in ratios.items()}, flush=True)
    load.append(os.getloadavg()[0])
    for process in children.values():
        process.terminate()
        process.wait()
    write_json(args.out, {**evidence(), "cores": 2, "load": load, "rounds": args.rounds, "fits": found})


if __name__ == "__main__":
    main()
