"""The scenarios: what is done to a cluster, and what must hold then. `Run.finish` judges what all have in common."""
import os
import signal
import subprocess
import threading
import time
from collections import namedtuple

from . import net
from .client import after, request
from .topology import GROUP_INTERVAL, GROUP_WAIT, Node, wait_for

# `needs`: what Run is made with. `minutes`: how long one run takes; `short` with --short.
Scenario = namedtuple("Scenario", "name invariants minutes short needs play text")
ALL = {}

# Liveness of a silent peer (4 s) and what follows; of a killed process (0.5 s).
SILENT, KILLED = 6.0, 2.0


def scenario(name, invariants, minutes=1, short=None, **needs):
    def keep(play):
        ALL[name] = Scenario(name, invariants, minutes, short or minutes, needs, play, play.__doc__)
        return play

    return keep


def names(prefix, count):
    return [f"{prefix}{i}" for i in range(count)]


def trickle(run, prefix, seconds, every=0.5):
    """Fires a new group every now and then in the background, while faults happen; answers a function that waits for its end."""

    def fire():
        end, i = time.time() + seconds, 0
        while time.time() < end:
            run.source.fire(f"{prefix}{i}")
            i += 1
            time.sleep(every)

    thread = threading.Thread(target=fire, daemon=True)
    thread.start()
    return thread.join


@scenario("calm", "I1 I2 I5 I6 I7", minutes=11, short=2, every=30.0, lasts=120.0)
def calm(run):
    """No fault: 1,000 groups for ten minutes, each told once and in time, each end told once."""
    count, seconds = run.long(1000, 200), run.long(600, 60)
    for i in range(count):
        run.source.fire(f"Calm{i}", count=1 + i % 3)
        run.pause(0.02)
    run.pause(seconds)
    run.settle()
    run.finish()


@scenario("one-shot", "I1 I2 I8")
def one_shot(run):
    """Alerts posted once, SIGKILL for a node that has just acknowledged some."""
    run.source.fire(*names("Once", 60), repeat=False, lasts=1800)
    run.nodes[1].kill()
    run.finish(bound=KILLED, end=False, quiet=15)
    run.nodes = [run.nodes[0], run.nodes[2]]
    run.hold(list(run.history.fired))


@scenario("silence", "I4 I8")
def silence(run):
    """A silence acknowledged, SIGKILL for its node at once: nothing that it covers is told."""
    matcher = {"name": "alertname", "value": "Quiet.*", "isRegex": True}
    body = {"matchers": [matcher], "startsAt": after(0), "endsAt": after(3600), "createdBy": "test", "comment": "test"}
    status, _, text = request(run.nodes[0].address, "POST", "/api/v2/silences", body)
    run.nodes[0].kill()
    run.check("I4", status == 200, f"no silence: {status} {text}")
    run.history.silenced.update(names("Quiet", 20))
    run.source.fire(*names("Quiet", 20))
    run.source.fire(*names("Loud", 5))
    run.finish(bound=KILLED, quiet=15)


@scenario("resend", "I1 I2 I5 I6", minutes=2, every=3.0, lasts=None)
def resend(run):
    """A client that repeats its alerts without an end, through round robin; then it falls silent and all of them end, once."""
    run.source.fire(*names("Again", 12), count=2)
    run.pause(run.long(75, 30))
    run.check("I6", not run.history.falsely_ended(), "told resolved while its source went on")
    with run.source.lock:
        keys = list(run.source.active)
        run.source.active.clear()
    with run.history.lock:
        run.history.ending.update(dict.fromkeys(keys, time.time()))
        run.history.ended.update(dict.fromkeys(keys, time.time()))
    run.wait_ended(12 + 2 * GROUP_INTERVAL + 5)
    run.finish()


@scenario("resolve", "I1 I2 I5", minutes=1)
def resolve(run):
    """Groups fire, are repeated and end explicitly: each is told firing once and resolved once, nothing afterwards."""
    run.source.fire(*names("End", 24), count=3)
    run.pause(GROUP_WAIT + GROUP_INTERVAL)
    run.finish(quiet=2 * GROUP_INTERVAL)


@scenario("kill", "I1 I3 I5 I6 I7", minutes=2)
def kill(run):
    """kill -9 of one node after the other under load, each restarted: whoever waits for it goes on, at most what it had in flight is told twice."""
    run.source.fire(*names("Old", 30))
    done = trickle(run, "New", 54)
    for node in run.nodes:
        run.pause(5)
        node.kill()
        run.pause(8)
        node.start()
        node.wait_ready()
    done()
    run.settle()
    run.finish(bound=SILENT, repeats=3)


@scenario("power-loss", "I1 I3 I5 I6 I7", cuts=True)
def power_loss(run):
    """A host loses power: its addresses fall silent and nobody refuses a connection. Restarted after 20 s."""
    run.source.fire(*names("Old", 30))
    run.pause(GROUP_WAIT + 2)
    done = trickle(run, "New", 30)
    run.pause(5)
    run.place.pull(2)
    run.nodes[2].kill()
    run.pause(20)
    run.place.plug(2)
    run.nodes[2].start()
    run.nodes[2].wait_ready()
    done()
    run.settle()
    run.finish(bound=SILENT, repeats=1)


# Prometheus' timeout is a sixth of the time after which it repeats.
@scenario("freeze", "I1 I3 I5 I6 I7", minutes=3, short=2, timeout=2.5)
def freeze(run):
    """SIGSTOP of one node after the other for 1, 3, 5, 10 and 30 s under load: others take over, the woken node catches up first."""
    run.source.fire(*names("Old", 30))
    run.pause(GROUP_WAIT + 2)
    times = run.long([1, 3, 5, 10, 30], [1, 5, 10])
    done = trickle(run, "New", sum(times) + 8 * len(times), every=1.0)
    for turn, seconds in enumerate(times):
        node = run.nodes[turn % 3]
        node.signal(signal.SIGSTOP)
        run.pause(seconds)
        node.signal(signal.SIGCONT)
        run.pause(8)
    done()
    run.settle()
    run.finish(bound=SILENT + 5.0, repeats=len(times))


def partition(run, cut, seconds, repeats):
    """Cuts, posts through the balancer to all sides meanwhile, ends a few alerts on both sides, heals."""
    run.source.fire(*names("Old", 30))
    run.pause(GROUP_WAIT + 2)
    cut()
    done = trickle(run, "Cut", seconds)
    run.pause(seconds / 2)
    run.source.end(*names("Old", 5))
    done()
    run.place.heal()
    run.settle(bound=6.0)
    done = trickle(run, "Healed", 5)
    done()
    run.finish(bound=SILENT, repeats=repeats)


@scenario("partition", "I1 I3 I5 I6 I7", minutes=2, cuts=True)
def partition_halves(run):
    """One node cut from the two others for 45 s while the balancer reaches all: each side notifies, at most one more telling per change."""
    partition(run, lambda: run.place.part([0], [1, 2]), run.long(45, 20), repeats=run.long(95, 45))


@scenario("partition-short", "I1 I3 I5 I6 I7", cuts=True)
def partition_short(run):
    """The same for 3 s, which nobody may notice as a death."""
    partition(run, lambda: run.place.part([0], [1, 2]), 3, repeats=6)


@scenario("one-way", "I1 I3 I5 I6 I7", minutes=2, cuts=True)
def one_way(run):
    """What one node sends no longer reaches another; the way back is open."""
    partition(run, lambda: run.place.drop(1, [0]), run.long(45, 20), repeats=run.long(95, 45))


@scenario("partial", "I1 I3 I5 I6 I7", minutes=2, cuts=True)
def partial(run):
    """Two nodes are cut from each other and both see the third, which carries records between them."""
    partition(run, lambda: run.place.part([0], [1]), run.long(45, 20), repeats=run.long(95, 45))


@scenario("all-apart", "I1 I3 I5 I6 I7", minutes=2, cuts=True)
def all_apart(run):
    """Every node alone for 45 s: all go on notifying, no end is told that is none."""

    def cut():
        run.place.part([0], [1, 2])
        run.place.drop(1, [0, 2])
        run.place.drop(2, [0, 1])

    partition(run, cut, run.long(45, 20), repeats=run.long(190, 90))


@scenario("rolling-restart", "I1 I2 I5 I6 I7 I9", minutes=2)
def rolling_restart(run):
    """SIGTERM, start and ready for one node after the other under load: nothing twice, nothing late, no request refused by a node."""
    run.source.fire(*names("Old", 30))
    done = trickle(run, "New", 30)
    took = []
    for node in run.nodes:
        run.pause(4)
        took.append(node.stop())
        node.start()
        node.wait_ready()
    run.figures["stop_max_s"] = round(max(took), 1)
    done()
    run.settle()
    run.finish(bound=1.5)


@scenario("rolling-reload", "I1 I2 I5 I6", minutes=1)
def rolling_reload(run):
    """A changed route is loaded by one node after the other within 2 s: exactly one configuration tells. Moved groups are told once under their new key."""
    routes = "  routes:\n  - matchers: [alertname=~\"Moved.*\"]\n    receiver: second\n"
    run.source.fire(*names("Old", 30))
    run.source.fire(*names("Moved", 6))
    done = trickle(run, "New", 25)
    run.pause(10)
    for node in run.nodes:
        node.configure(routes=routes)
        node.signal(signal.SIGHUP)
        run.pause(0.7)
    done()
    run.finish(bound=SILENT)
    moved = [delivery for delivery in run.history.deliveries if delivery.receiver == "second"]
    firing = [delivery for delivery in moved if delivery.status == "firing"]
    run.check("I2", len(firing) == 6, f"{len(firing)} moved groups told firing by the new receiver, not 6")


def restart_all(run, seconds, bound):
    """Everything that was acknowledged is still there, what fell due meanwhile is told once, no end is told that is none."""
    run.source.fire(*names("Told", 20))
    run.pause(GROUP_WAIT + 3)
    run.source.fire(*names("Due", 20))
    run.source.fire(*names("Once", 10), repeat=False, lasts=1800)
    keys = [key for key in run.history.fired if key[0].startswith("Once")]
    for node in run.nodes:
        node.signal(signal.SIGKILL)
    for node in run.nodes:
        node.process.wait()
    run.pause(seconds)
    for node in run.nodes:
        node.start()
    for node in run.nodes:
        node.wait_ready()
    run.settle()
    run.hold(keys)
    run.pause(15)
    run.finish(bound=seconds + bound, repeats=0)


@scenario("all-killed", "I1 I3 I5 I6 I7 I8 I9")
def all_killed(run):
    """All nodes killed within 10 ms, some groups not told yet; restarted after 1 s."""
    restart_all(run, 1, bound=10.0)


@scenario("all-killed-long", "I1 I3 I5 I6 I7 I8 I9", minutes=8, short=3, every=15.0, lasts=60.0)
def all_killed_long(run):
    """The same, restarted after 6 minutes, when every alert on disk has long expired: none of them is told resolved, for its source could not re-send."""
    restart_all(run, run.long(360, 75), bound=10.0)


@scenario("disk-wiped", "I1 I3 I6 I7 I8", minutes=1)
def disk_wiped(run):
    """A node is killed and its disk lost; it comes back empty, and then the others are killed: it has everything."""
    run.source.fire(*names("Once", 40), repeat=False, lasts=1800)
    run.nodes[2].kill()
    run.nodes[2].wipe()
    run.pause(2)
    run.nodes[2].start()
    run.nodes[2].wait_ready()
    run.settle()
    run.nodes[0].kill()
    run.nodes[1].kill()
    run.wait_told(GROUP_WAIT + 10)
    run.nodes = [run.nodes[2]]
    run.hold(list(run.history.fired))
    run.finish(bound=SILENT, repeats=2, end=False, quiet=12)


def on_small_disk(run, node):
    if node.index == 2:
        command = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", node.data]
        net.run(*command)
        run.mounts.append(node.data)


@scenario("disk-full", "I1 I2 I5 I6 I7", minutes=2, prepare=on_small_disk, pad=20_000)
def disk_full(run):
    """The disk of one node is full: it says so, leaves the work to the others, loses nothing, and recovers when there is room again."""
    run.source.fire(*names("Old", 20))
    run.pause(GROUP_WAIT + 2)
    node, filler = run.nodes[2], os.path.join(run.nodes[2].data, "filler")
    done = trickle(run, "Full", 40, every=0.2)
    full = threading.Event()

    def fill():
        """Takes every byte that becomes free."""
        while not full.is_set():
            with open(filler, "ab", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(65536))
                except OSError:
                    pass
            time.sleep(0.05)

    filling = threading.Thread(target=fill)
    filling.start()
    try:
        wait_for("the node says that its disk failed", 30, lambda: node.metric("tocsin_storage_healthy") == 0 and node.ask("/metrics"))
        wait_for("a node whose disk is full is not ready", 20, lambda: not node.ask("/-/ready"))
        run.pause(10)
    finally:
        full.set()
        filling.join()
    os.remove(filler)
    begun = time.time()
    wait_for("the disk works again", 60, lambda: node.metric("tocsin_storage_healthy") == 1)
    run.figures["healthy_again_s"] = round(time.time() - begun, 1)
    done()
    run.settle()
    run.finish(bound=SILENT)


def clock(seconds):
    def prepare(_run, node):
        node.clock_s = seconds if node.index == 1 else 0

    return prepare


def wrong_clock(run):
    """Alerts, ends and a death with a wrong clock in the cluster."""
    run.source.fire(*names("Old", 30))
    run.pause(GROUP_WAIT + GROUP_INTERVAL)
    run.source.end(*names("Old", 10))
    done = trickle(run, "New", 20)
    done()
    run.nodes[0].kill()
    run.source.fire(*names("After", 10))
    run.pause(8)
    run.nodes[0].start()
    run.nodes[0].wait_ready()
    run.settle()
    run.finish(bound=SILENT, repeats=1)


@scenario("clock-ahead", "I1 I3 I5 I6 I7", minutes=2, prepare=clock(300))
def clock_ahead(run):
    """One node's clock is 5 min ahead: order goes by what was seen, that node goes by the time of the others."""
    wrong_clock(run)


@scenario("clock-behind", "I1 I3 I5 I6 I7", minutes=2, prepare=clock(-300))
def clock_behind(run):
    """One node's clock is 5 min behind."""
    wrong_clock(run)


def other_repeat(_run, node):
    if node.index == 2:
        node.configure(repeat="2h", routes="  routes:\n  - matchers: [alertname=~\"Apart.*\"]\n    receiver: second\n")


@scenario("other-configuration", "I1 I2 I5 I6", minutes=1, prepare=other_repeat)
def other_configuration(run):
    """One node has another configuration: it ranks behind. What only it would tell is told once by each, late."""
    run.source.fire(*names("Same", 30))
    run.source.fire(*names("Apart", 4))
    run.pause(GROUP_WAIT + GROUP_INTERVAL)
    run.finish(bound=1.5)
    apart = [delivery for delivery in run.history.deliveries if delivery.receiver == "second"]
    run.check("I3", len(apart) <= 8, f"{len(apart)} tellings by the other configuration, not at most 8")
    by_other = [d for d in run.history.deliveries if d.node == "node2" and d.receiver == "first"]
    run.check("I2", not by_other, f"{len(by_other)} tellings by the node that ranks behind")


@scenario("hung-receiver", "I1 I3 I5", minutes=2)
def hung_receiver(run):
    """The receiver never answers one of the nodes: after claim_hold another one tells."""
    run.sink.hung.add("node1")
    run.source.fire(*names("Hung", 30))
    hold = 2 * 3.0
    # The webhook's own timeout is that of the flush; another rank tries after claim_hold and its rank's wait.
    run.finish(bound=hold + 2 * 3.0 + 6.0, repeats=0)
    run.figures["hung_attempts"] = run.sink.attempts - len(run.history.deliveries)


@scenario("slow-receiver", "I1 I2 I5", minutes=1)
def slow_receiver(run):
    """The receiver takes 5 s for each answer, longer than peer_timeout: nobody doubles."""
    run.sink.delay = 5.0
    run.source.fire(*names("Slow", 40))
    run.pause(8)
    run.finish(bound=1.5, quiet=GROUP_INTERVAL + 6)


@scenario("receiver-down", "I1 I2 I5", minutes=2)
def receiver_down(run):
    """The receiver answers 503 for 40 s: one attempt at a time in the whole cluster, each group told once in the end."""
    run.sink.status, run.sink.delay = 503, 0.2
    run.source.fire(*names("Down", 10))
    run.pause(run.long(40, 20))
    run.figures.update(attempts=run.sink.attempts, at_once=run.sink.at_once)
    run.check("I3", run.sink.at_once == 1, f"{run.sink.at_once} attempts for one group at once")
    run.sink.status, run.sink.delay = 200, 0.0
    run.finish(bound=run.long(40, 20) + 15.0)


@scenario("stranger", "I10 I2", minutes=1)
def stranger(run):
    """A node with another label and one with another secret dial the cluster: they change nothing and see nothing."""
    run.source.fire(*names("Ours", 10))
    secret = os.path.join(run.directory, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write("c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2Vyc3RyYW5nZXIhIQ==\n")
    os.chmod(secret, 0o600)
    strangers = []
    for index, flag in ((10, "--cluster.label=other"), (11, f"--cluster.secret-file={secret}")):
        node = Node(run.topology, index)
        node.flags = [flag]
        node.start()
        run.helpers.append(node.process)
        node.wait_ready()
        strangers.append(node)
    run.history.ready.clear()
    for node in strangers:
        alert = {"labels": {"alertname": "Strange", "i": node.name}, "endsAt": after(600)}
        request(node.address, "POST", "/api/v2/alerts", [alert])
    run.pause(8)
    for node in run.nodes:
        run.check("I10", "Strange" not in node.ask("/api/v2/alerts"), f"{node.name} took an alert of a stranger")
        run.check("I10", '"known":3' in node.ask("/api/v2/status/ha"), f"{node.name} counts a stranger as member")
    for node in strangers:
        run.check("I10", "Ours" not in node.ask("/api/v2/alerts"), f"{node.name} saw the cluster's alerts")
    with run.history.lock:
        run.history.deliveries = [d for d in run.history.deliveries if d.alerts[0][0] != "Strange"]
    run.finish()


@scenario("prometheus", "I1 I2 I5 I6", minutes=12, short=3)
def prometheus(run):
    """Debian's Prometheus with 40 rules that it re-sends every 5 s: each told once, each end told once."""
    firing = ["1"]
    rules = "".join(
        f"  - alert: Rule{i}\n    expr: test_firing == 1\n    labels: {{i: '0'}}\n    annotations: {{summary: 'rule {i}'}}\n" for i in range(40)
    )
    serve_metric(run, firing)
    outside = run.place.outside
    files = {
        "rules.yml": f"groups:\n- name: test\n  rules:\n{rules}",
        "prometheus.yml": "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f"alerting:\n  alertmanagers:\n  - timeout: 10s\n    api_version: v2\n    static_configs: [{{targets: ['{outside}:{net.WEB}']}}]\n"
        f"scrape_configs:\n- job_name: test\n  static_configs: [{{targets: ['{outside}:{net.METRIC}']}}]\n",
    }
    for name, text in files.items():
        with open(os.path.join(run.directory, name), "w", encoding="utf-8") as file:
            file.write(text)
    command = [
        "prometheus", f"--config.file={run.directory}/prometheus.yml", f"--storage.tsdb.path={run.directory}/tsdb",
        f"--web.listen-address={outside}:{net.PROMETHEUS}", "--rules.alert.resend-delay=5s",
    ]
    with open(os.path.join(run.directory, "prometheus.log"), "w", encoding="utf-8") as log:
        run.helpers.append(subprocess.Popen(command, stdout=log, stderr=log))
    rules = [(f"Rule{i}", "0") for i in range(40)]
    wait_for("all rules are told", 60, lambda: len(run.history.tellings("firing")) == 40)
    run.pause(run.long(600, 60))
    count = {key: len(times) for key, times in run.history.tellings("firing").items()}
    run.check("I2", all(count.get(rule) == 1 for rule in rules), f"told in all: {count}")
    firing[0] = "0"
    run.history.ending.update(dict.fromkeys(rules, time.time()))
    run.history.ended.update(dict.fromkeys(rules, time.time()))
    run.wait_ended(60)
    run.finish(end=False, quiet=20)
    ended = {key: len(times) for key, times in run.history.tellings("resolved").items()}
    run.check("I5", all(ended.get(rule) == 1 for rule in rules), f"ends told in all: {ended}")


def serve_metric(run, firing):
    """One metric for Prometheus to scrape."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = f"test_firing {firing[0]}\n".encode()
            self.send_response(200)
            self.send_header("content-type", "text/plain")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer((run.place.outside, net.METRIC), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
