"""Where nodes live: loopback addresses, or network namespaces on a bridge, whose cables can be cut."""
import os
import socket
import subprocess

WEB, GOSSIP, SINK, STATS, METRIC, PROMETHEUS = 19093, 19094, 19080, 19404, 19090, 19091


def run(*command, text=None):
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")


class Loopback:
    """Addresses of 127.77.J.0/24 that no other run uses at the time."""

    cuts = False

    def __init__(self):
        for step in range(200):
            number = 1 + (os.getpid() + step) % 200
            self.lock = socket.socket()
            try:
                self.lock.bind((f"127.77.{number}.254", 19001))
                break
            except OSError:
                self.lock.close()
        else:
            raise SystemExit("no free addresses on loopback")
        self.number = number
        self.prefix = f"127.77.{number}"

    def node(self, index):
        return f"{self.prefix}.{index + 1}"

    @property
    def outside(self):
        return f"{self.prefix}.254"

    def inside(self, _index):
        """What a command begins with to run where the node lives."""
        return []

    def close(self):
        self.lock.close()


class Namespaces(Loopback):
    """One namespace a node, all on one bridge; needs root. Balancer, sender and receiver are on the bridge itself."""

    cuts = True

    def __init__(self, nodes=3):
        super().__init__()
        self.prefix = f"10.77.{self.number}"
        self.nodes, self.bridge = nodes, f"ha{self.number}b"
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.outside}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for index in range(nodes):
            name, cable = self.name(index), f"ha{self.number}v{index}"
            run("ip", "netns", "add", name)
            run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", cable, "master", self.bridge, "up")
            for words in (["address", "add", f"{self.node(index)}/24", "dev", "eth0"], ["link", "set", "eth0", "up"], ["link", "set", "lo", "up"]):
                run("ip", "-n", name, *words)

    def name(self, index):
        return f"ha{self.number}n{index}"

    def inside(self, index):
        return ["ip", "netns", "exec", self.name(index)]

    def drop(self, to, senders):
        """From now on nothing that `senders` send reaches `to`."""
        addresses = ", ".join(self.node(sender) for sender in senders)
        rules = f"table inet cut {{\nchain input {{\ntype filter hook input priority 0;\nip saddr {{ {addresses} }} drop\n}}\n}}\n"
        run(*self.inside(to), "nft", "-f", "-", text=rules)

    def part(self, side, other):
        """Cuts two groups of nodes from each other."""
        for to, senders in [(node, other) for node in side] + [(node, side) for node in other]:
            self.drop(to, senders)

    def pull(self, index):
        """Pulls the plug out of one node: nobody hears from it, not even that its ports are closed."""
        run("ip", "link", "set", f"ha{self.number}v{index}", "down")

    def plug(self, index):
        run("ip", "link", "set", f"ha{self.number}v{index}", "up")

    def heal(self):
        for index in range(self.nodes):
            run(*self.inside(index), "nft", "flush", "ruleset")

    def close(self):
        for index in range(self.nodes):
            subprocess.run(["ip", "netns", "del", self.name(index)], capture_output=True)
            subprocess.run(["ip", "link", "del", f"ha{self.number}v{index}"], capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)
        super().close()
