#!/usr/bin/env python3
"""Measures one program in several systems, one after the other, in several rounds.

Prints a Markdown table: the median over the rounds, and its ratio to Serve's. See README.md.
"""

import argparse
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
URL = "http://127.0.0.1:8000"


def peers(ray, bento):
    """The command of each peer, with what it needs in the environment."""
    release = ROOT / "target" / "release"
    found = {
        "Serve": ([release / "ours"], {}),
        "axum + channels, by hand": ([release / "by_hand"], {}),
    }
    if bento:
        command = [bento / "bin" / "bentoml", "serve", "bento_app:Ingress", "--port", "8000"]
        found["BentoML"] = (command, {"BENTOML_DO_NOT_TRACK": "True"})
    if ray:
        command = [ray / "bin" / "serve", "run", "ray_app:app"]
        quiet = {"RAY_USAGE_STATS_ENABLED": "0"}
        found["Ray Serve"] = (command, quiet)
        tuned = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
        found["Ray Serve, tuned for throughput"] = (command, quiet | tuned)
    return found


def post(path, body, timeout=60):
    request = urllib.request.Request(
        URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)


def wait_until_up(process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}; see measure.log")
        try:
            assert post("/calculate", {"input": 1}, timeout=2) == 2
            return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{process.args[0]} does not answer on {URL}; see measure.log")


def call_micros():
    """Microseconds of one call between deployments, over about a second of them."""
    post("/calls", {"count": 200})
    count = max(200, int(1e6 / post("/calls", {"count": 200})))
    return post("/calls", {"count": count})


def load(seconds, connections):
    """Good answers a second, and the share of all answers that were none."""

    def wrk(seconds):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", HERE / "post.lua"]
        command.append(URL + "/calculate")
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        answers, took = re.search(r"(\d+) requests in ([\d.]+)s", said).groups()
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        bad = int(bad[1]) if bad else 0
        return (int(answers) - bad) / float(took), bad / int(answers)

    wrk(2)
    return wrk(seconds)


def measure(command, environment, args, log):
    process = subprocess.Popen(
        command,
        cwd=HERE,
        env=os.environ | environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        wait_until_up(process)
        return call_micros(), *load(args.seconds, args.connections)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ray", type=Path, help="a virtual environment with ray[serve]")
    parser.add_argument("--bento", type=Path, help="a virtual environment with bentoml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load in each round")
    parser.add_argument("--connections", type=int, default=32)
    args = parser.parse_args()

    systems = peers(args.ray and args.ray.resolve(), args.bento and args.bento.resolve())
    figures = {name: [] for name in systems}
    with open(HERE / "measure.log", "w") as log:
        for round in range(args.rounds):
            for name, (command, environment) in systems.items():
                figures[name].append(measure(command, environment, args, log))
                micros, rate, bad = figures[name][-1]
                print(f"{round} {name}: {micros:.2f} us, {rate:.0f}/s, {bad:.1%} bad", file=sys.stderr)

    print("| | one call | against ours | HTTP requests/s | against ours | failed |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, rounds in figures.items():
        # Ratios within a round: what else the machine does weighs on both alike.
        pairs = list(zip(rounds, figures["Serve"]))
        call_ratio = statistics.median(its[0] / ours[0] for its, ours in pairs)
        rate_ratio = statistics.median(its[1] / ours[1] for its, ours in pairs)
        micros, rate, bad = (statistics.median(column) for column in zip(*rounds))
        print(
            f"| {name} | {shown(micros)} µs | {shown(call_ratio)} × "
            f"| {rate:,.0f} | {shown(rate_ratio)} × | {bad:.0%} |"
        )


def shown(number):
    """Three digits that count."""
    return f"{number:,.{max(0, 2 - math.floor(math.log10(number)))}f}"


if __name__ == "__main__":
    main()
