"""Real processes: three nodes behind one balancer, as in the guide."""
import glob
import os
import shutil
import signal
import subprocess
import time

from . import net
from .client import request

GROUP_WAIT, GROUP_INTERVAL = 2.0, 10.0

CONFIG = """\
global: {{resolve_timeout: 12s}}
route:
  receiver: first
  group_by: [alertname]
  group_wait: 2s
  group_interval: 10s
  repeat_interval: {repeat}
{routes}receivers:
- name: first
  webhook_configs: [{{url: 'http://{sink}/first'}}]
- name: second
  webhook_configs: [{{url: 'http://{sink}/second'}}]
"""

# The guide's file, without what a daemon of the system needs; addresses are filled in.
HAPROXY = """\
global
  maxconn 4096
defaults
  mode http
  option http-server-close
  option forwardfor
  option redispatch
  retries 3
  timeout http-request 10s
  timeout queue 1m
  timeout connect 10s
  timeout client 1m
  timeout server 1m
  timeout http-keep-alive 10s
  timeout check 10s
  maxconn 3000
frontend alertmanager_frontend
  bind {balancer}
  default_backend alertmanager_backend
backend alertmanager_backend
  balance roundrobin
  option httpchk GET /-/healthy
  http-check expect status 200
{servers}
"""


def wait_for(what, seconds, ask):
    """The first answer of `ask` that is something; raises when the time is over."""
    end = time.time() + seconds
    while time.time() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise TimeoutError(f"not within {seconds} s: {what}")


class Node:
    """One node; its address, name and directory outlive its process."""

    def __init__(self, topology, index):
        self.topology, self.index, self.name = topology, index, f"node{index}"
        self.address = (topology.place.node(index), net.WEB)
        self.directory = os.path.join(topology.directory, self.name)
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(topology.directory, f"{self.name}.log")
        self.flags, self.clock_s, self.process, self.started = [], 0, None, 0.0
        os.makedirs(self.data)
        self.configure()

    def configure(self, routes="", repeat="1h"):
        sink = f"{self.topology.place.outside}:{net.SINK}"
        with open(os.path.join(self.directory, "alertmanager.yml"), "w", encoding="utf-8") as file:
            file.write(CONFIG.format(sink=sink, routes=routes, repeat=repeat))

    def command(self):
        place, ip = self.topology.place, self.address[0]
        peers = [index for index in range(self.topology.count) if index != self.index]
        return [
            *place.inside(self.index),
            *self.topology.binary,
            "node",
            f"--config.file={self.directory}/alertmanager.yml",
            f"--storage.path={self.data}",
            f"--web.listen-address={ip}:{net.WEB}",
            f"--web.external-url=http://{self.name}",
            f"--cluster.listen-address={ip}:{net.GOSSIP}",
            f"--cluster.advertise-address={ip}:{net.GOSSIP}",
            f"--cluster.peer-name={self.name}",
            *(f"--cluster.peer={place.node(peer)}:{net.GOSSIP}" for peer in peers),
            *self.topology.flags,
            *self.flags,
        ]

    def start(self):
        environment = dict(os.environ)
        if self.clock_s:
            library = (glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1") or [""])[0]
            environment.update(LD_PRELOAD=library, FAKETIME=f"{self.clock_s:+d}s", FAKETIME_DONT_FAKE_MONOTONIC="1", DONT_FAKE_MONOTONIC="1")
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, env=environment)
        self.started = time.time()

    def ask(self, path):
        """The answer as text; empty when there is none."""
        try:
            status, _, text = request(self.address, "GET", path, timeout=2.0)
        except OSError:
            return ""
        return text if status == 200 else ""

    def wait_ready(self, seconds=65):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended by itself, see {self.log}")
            try:
                return request(self.address, "GET", "/-/ready", timeout=2.0)[0] == 200
            except OSError:
                return False

        wait_for(f"{self.name} is ready", seconds, ready)
        self.topology.history.ready.append((self.name, self.started, time.time()))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=40):
        """Ends it in good order; answers how long that took."""
        begun = time.time()
        self.signal(signal.SIGTERM)
        self.process.wait(seconds)
        return time.time() - begun

    def wipe(self):
        shutil.rmtree(self.data)
        os.makedirs(self.data)

    def metric(self, name):
        """The sum of a metric's samples."""
        lines = [line for line in self.ask("/metrics").splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


class Topology:
    """The nodes and the balancer before them."""

    def __init__(self, place, directory, binary, history, flags):
        self.place, self.directory, self.binary, self.history, self.flags = place, directory, binary, history, flags
        self.count, self.lb = 3, None
        self.nodes = [Node(self, index) for index in range(self.count)]
        self.balancer = (place.outside, net.WEB)

    def start(self, balancer):
        """All are ready, form one cluster, and the balancer answers."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()
        self.wait_whole()
        self.balance(balancer)
        wait_for("the balancer answers", 30, lambda: self.answers(self.balancer))

    def balance(self, kind):
        addresses = [f"{node.address[0]}:{net.WEB}" for node in self.nodes]
        own = f"{self.balancer[0]}:{net.WEB}"
        if kind == "haproxy":
            servers = "\n".join(f"  server alertmanager{i + 1} {address} check inter 10s fall 3 rise 2" for i, address in enumerate(addresses))
            file = os.path.join(self.directory, "haproxy.cfg")
            with open(file, "w", encoding="utf-8") as out:
                out.write(HAPROXY.format(balancer=own, servers=servers))
            command = ["haproxy", "-db", "-f", file]
        else:
            command = [*self.binary, "lb", f"--listen-address={own}", f"--stats.listen-address={self.balancer[0]}:{net.STATS}", "--admin.socket="]
            command += [f"--backend={address}" for address in addresses]
        with open(os.path.join(self.directory, "balancer.log"), "a", encoding="utf-8") as log:
            self.lb = subprocess.Popen(command, stdout=log, stderr=log)

    @staticmethod
    def answers(address):
        try:
            return request(address, "GET", "/-/healthy", timeout=2.0)[0] == 200
        except OSError:
            return False

    def is_whole(self):
        """Every node sees all, and all hold the same records."""
        texts = [node.ask("/api/v2/status/ha") for node in self.nodes]
        return all(f'"live":{self.count},' in text for text in texts) and len({text.split('"digests":')[1] for text in texts}) == 1

    def wait_whole(self, seconds=30):
        """How long it took until all nodes were one cluster with one state."""
        begun = time.time()
        wait_for("all nodes are live and hold the same", seconds, self.is_whole)
        return time.time() - begun

    def close(self):
        for node in self.nodes:
            if node.process and node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.kill()
        if self.lb:
            self.lb.kill()
            self.lb.wait()
