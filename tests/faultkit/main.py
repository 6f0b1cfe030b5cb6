"""The command line of tests/faults: which runs are still to do, one line for each, a file that remembers them."""
import argparse
import json
import os
import subprocess
import sys
import threading
from collections import Counter

from .run import play
from .scenarios import ALL

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
BALANCERS = ["tocsin", "haproxy"]


def arguments():
    parser = argparse.ArgumentParser(prog="tests/faults", description="Faults on three nodes behind a balancer; needs root for those in network namespaces.")
    parser.add_argument("--runs", type=int, default=1, help="passed runs of each scenario wanted in all; those in the result file count")
    parser.add_argument("--scenario", action="append", choices=sorted(ALL), help="only this one (repeatable)")
    parser.add_argument("--balancer", action="append", choices=BALANCERS, help="only behind this one; else behind both")
    parser.add_argument("--short", action="store_true", help="scale long times down; such runs are counted apart")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--binary", help="the tocsin to test; else a debug build of this tree")
    parser.add_argument("--results", default=os.path.join(TARGET, "faults.jsonl"), help="the result file")
    parser.add_argument("--keep", action="store_true", help="keep the logs of passed runs, too")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--table", action="store_true", help="print the results as a table")
    parser.add_argument("--one", nargs=3, metavar=("SCENARIO", "BALANCER", "DIRECTORY"), help=argparse.SUPPRESS)
    return parser.parse_args()


def results(file):
    try:
        with open(file, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []


def open_runs(options):
    """What is still to do, in rounds, so that an interrupted command has a bit of everything."""
    passed = Counter((r["scenario"], r["balancer"]) for r in results(options.results) if r["passed"] and r["short"] == options.short)
    for turn in range(options.runs):
        for name in options.scenario or ALL:
            for balancer in options.balancer or BALANCERS:
                if passed[name, balancer] <= turn:
                    yield name, balancer, turn + 1


def line(result):
    figures = " ".join(f"{name}={value}" for name, value in result["figures"].items())
    verdict = "ok" if result["passed"] else "BROKEN"
    return f"{result['scenario']} {result['balancer']}: {verdict} in {result['seconds']} s: {figures}"


def work(options, todo, lock, failures):
    while True:
        with lock:
            job = next(todo, None)
        if job is None:
            return
        name, balancer, turn = job
        directory = os.path.join(TARGET, "faults", f"{name}-{balancer}-{turn}")
        command = [sys.executable, sys.argv[0], "--one", name, balancer, directory, "--binary", options.binary]
        done = subprocess.run(command + ["--short"] * options.short + ["--keep"] * options.keep, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        if done.returncode or not lines:
            result = {"scenario": name, "balancer": balancer, "short": options.short, "figures": {}, "seconds": 0, "passed": False}
            result["broken"] = [done.stderr.strip()[-2000:] or "no result"]
        else:
            result = json.loads(lines[-1])
        with lock:
            with open(options.results, "a", encoding="utf-8") as out:
                out.write(json.dumps(result) + "\n")
            print(line(result), flush=True)
            for broken in result["broken"]:
                print(f"    {broken}", flush=True)
            if not result["passed"]:
                failures.append(name)
                print(f"    logs: {directory}", flush=True)


def table(options):
    """One row for each scenario and balancer, with the worst of each figure."""
    print("| Scenario | Balancer | Passed | Alerts | Lost | Told again | False resolved | Latest, s | Equal after, s |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = {}
    for result in results(options.results):
        if result["short"] == options.short:
            rows.setdefault((result["scenario"], result["balancer"]), []).append(result)
    for (name, balancer), runs in sorted(rows.items(), key=lambda row: (list(ALL).index(row[0][0]), row[0][1])):
        good = [run["figures"] for run in runs if run["passed"]]

        def worst(figure):
            values = [figures[figure] for figures in good if figures.get(figure) is not None]
            return max(values) if values else ""

        cells = [worst(figure) for figure in ("alerts", "lost", "repeated", "false_resolved", "late_max_s", "equal_s")]
        print(f"| {name} | {balancer} | {len(good)} of {len(runs)} | " + " | ".join(map(str, cells)) + " |")


def build():
    command = ["cargo", "build", "--locked", "--bin", "tocsin"]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit(1)
    return os.path.join(TARGET, "debug", "tocsin")


def main():
    options = arguments()
    if options.one:
        name, balancer, directory = options.one
        print(json.dumps(play(ALL[name], directory, [options.binary], balancer, options.short, options.keep)))
        return
    if options.list:
        for each in ALL.values():
            print(f"{each.name:20} {each.minutes:2} min  {each.invariants}\n    {each.text.strip()}")
        return
    if options.table:
        table(options)
        return
    needs = ["haproxy=haproxy", "prometheus=prometheus", "ip=iproute2", "nft=nftables", "faketime=faketime"]
    if subprocess.run([os.path.join(ROOT, "packaging", "need"), *needs]).returncode:
        raise SystemExit(1)
    options.binary = os.path.abspath(options.binary) if options.binary else build()
    os.makedirs(os.path.dirname(options.results), exist_ok=True)
    todo, lock, failures = open_runs(options), threading.Lock(), []
    todo = iter(list(todo))
    workers = [threading.Thread(target=work, args=(options, todo, lock, failures)) for _ in range(options.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    raise SystemExit(1 if failures else 0)
