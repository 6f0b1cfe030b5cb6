"""One run of one scenario: builds the topology, lets the scenario do its worst, judges the history."""
import json
import os
import shutil
import subprocess
import time

from . import net
from .client import Source
from .history import BOUND_CALM, History
from .sink import Sink
from .topology import GROUP_INTERVAL, GROUP_WAIT, Topology, wait_for


class Run:
    """What a scenario works with. `figures` and `broken` become its result."""

    def __init__(self, directory, binary, balancer, short, cuts=False, flags=(), prepare=lambda _run, _node: None, **source):
        self.directory, self.short = directory, short
        self.history, self.figures, self.broken = History(), {}, []
        self.mounts, self.helpers = [], []
        self.place = net.Namespaces() if cuts else net.Loopback()
        self.source = self.sink = self.topology = None
        try:
            self.sink = Sink(self.place.outside, net.SINK, self.history)
            flags = ["--cluster.peer-timeout=3s", "--cluster.settle-timeout=20s", *flags]
            self.topology = Topology(self.place, directory, binary, self.history, flags)
            self.nodes = self.topology.nodes
            for node in self.nodes:
                prepare(self, node)
            self.topology.start(balancer)
            self.source = Source(self.topology.balancer, self.history, **source)
        except BaseException:
            self.close()
            raise

    def close(self):
        for part in (self.source, self.topology, self.sink):
            if part:
                part.close()
        for process in self.helpers:
            process.kill()
            process.wait()
        for mount in self.mounts:
            subprocess.run(["umount", mount], capture_output=True)
        self.place.close()

    def long(self, seconds, short):
        """A time that `--short` scales down."""
        return short if self.short else seconds

    def check(self, invariant, holds, text):
        if not holds:
            self.broken.append(f"{invariant}: {text}")

    def wait_told(self, seconds):
        """Waits until every alert that was acknowledged firing is told."""
        self._wait(seconds, lambda: not self.history.untold())

    def wait_ended(self, seconds):
        self._wait(seconds, lambda: not self.history.unended())

    @staticmethod
    def _wait(seconds, done):
        try:
            wait_for("told", seconds, done)
        except TimeoutError:
            pass  # The judge says what is missing.

    def pause(self, seconds):
        """The rhythm of a scenario: for so long things go on as they are."""
        time.sleep(seconds)

    def settle(self, bound=4.0):
        """I7: after the last fault all nodes hold the same soon. Call it when the fault ends."""
        begun = time.time()
        try:
            took = self.topology.wait_whole(30)
        except TimeoutError:
            took = time.time() - begun
        self.figures["equal_s"] = round(took, 1)
        self.check("I7", took < bound, f"nodes differ {took:.1f} s after the last fault")

    def finish(self, bound=BOUND_CALM, repeats=0, again=0, end=True, quiet=None):
        """Ends all alerts, waits until that is told and that nothing more is, and judges."""
        self.wait_told(GROUP_WAIT + bound + 15)
        if end:
            self.source.end_all()
            self.wait_ended(GROUP_INTERVAL + bound + 15)
        self.pause(GROUP_INTERVAL + 2 if quiet is None else quiet)
        self.judge(bound, repeats, again, end)

    def judge(self, bound, repeats, again, end):
        history, figures = self.history, self.figures
        late, repeated = history.late(GROUP_WAIT), history.repeated()
        untold, false, leaked = history.untold(), history.falsely_ended(), history.leaked()
        figures.update(
            posts=history.posts, errors=len(history.errors), degraded=history.degraded, alerts=len(history.fired), told=len(history.deliveries),
            lost=len(untold), repeated=len(repeated), false_resolved=len(false), leaked=len(leaked),
            late_p50_s=round(late[len(late) // 2], 2) if late else None, late_max_s=round(late[-1], 2) if late else None,
        )
        self.check("I1", not untold, f"{len(untold)} acknowledged and never told: {untold[:5]}")
        slow = [seconds for seconds in late if bound < seconds]
        self.check("I1", not slow, f"{len(slow)} told later than group_wait + {bound} s, the last by {max(slow, default=0):.1f} s")
        law = "I3" if repeats else "I2"
        self.check(law, len(repeated) <= repeats, f"{len(repeated)} told again where {repeats} may be: {repeated[:3]}")
        self.check("I4", not leaked, f"{len(leaked)} told though silenced: {leaked[:5]}")
        self.check("I6", not false, f"{len(false)} told resolved though their source went on: {false[:5]}")
        fired = history.fired_again()
        self.check("I5", len(fired) <= again, f"{len(fired)} told firing after their end: {fired[:5]}")
        if end:
            unended = history.unended()
            figures["unended"] = len(unended)
            self.check("I5", not unended, f"{len(unended)} ended and never told so: {unended[:5]}")
        early = history.too_early()
        self.check("I9", not early, f"{len(early)} told by a node that was not ready: {early[:3]}")

    def hold(self, keys):
        """I8: every node shows these alerts."""
        for node in self.nodes:
            shown = {(alert["labels"]["alertname"], alert["labels"]["i"]) for alert in json.loads(node.ask("/api/v2/alerts") or "[]")}
            missing = [key for key in keys if key not in shown]
            self.check("I8", not missing, f"{node.name} lacks {len(missing)}: {missing[:5]}")


def play(scenario, directory, binary, balancer, short, keep):
    """Runs it; answers its result as plain values."""
    begun = time.time()
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    result = {"scenario": scenario.name, "balancer": balancer, "short": short, "broken": [], "figures": {}}
    run = None
    try:
        run = Run(directory, binary, balancer, short, **scenario.needs)
        scenario.play(run)
    except (TimeoutError, RuntimeError, OSError) as error:
        result["broken"].append(f"{type(error).__name__}: {error}")
    finally:
        if run:
            run.close()
    if run:
        result["broken"] += run.broken
        result["figures"] = run.figures
    result["seconds"] = round(time.time() - begun)
    result["passed"] = not result["broken"]
    if result["passed"] and not keep:
        shutil.rmtree(directory, ignore_errors=True)
    elif run:
        with open(os.path.join(directory, "history.txt"), "w", encoding="utf-8") as out:
            out.write(run.history.story())
    return result
