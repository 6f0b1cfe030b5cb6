"""What the commands beside this file stand on: a topology of real processes on loopback, and requests to it."""
import asyncio, http.client, json, os, signal, subprocess, time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIG = """
route: {receiver: sink, group_by: [alertname], group_wait: 1s, group_interval: 5s, repeat_interval: 1h, routes: %s}
receivers: %s
"""


def free_ports(n):
    import socket
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def memory_mb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class Server:
    """A process of ours: its output goes to a file, its end is ours to bring about."""

    def __init__(self, name, command, directory):
        self.name, self.command, self.log = name, command, open(f"{directory}/{name}.log", "w")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=subprocess.STDOUT)
        self.pid = self.process.pid

    def signal(self, what):
        self.process.send_signal(what)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()


class Topology:
    """Three nodes, a balancer, and a webhook sink in this process."""

    def __init__(self, tocsin, directory, receivers=None, routes="[]", flags=(), nodes=3):
        self.tocsin, self.directory, self.seen = tocsin, directory, []
        self.receivers, self.routes, self.flags, self.count = receivers, routes, flags, nodes

    async def __aenter__(self):
        self.sink = await asyncio.start_server(self._sink, "127.0.0.1", 0)
        port = self.sink.sockets[0].getsockname()[1]
        plain = '[{name: sink, webhook_configs: [{url: "http://127.0.0.1:%d/"}]}%s]' % (port, self.receivers or "")
        with open(f"{self.directory}/alertmanager.yml", "w") as f:
            f.write(CONFIG % (self.routes, plain))
        n = self.count
        ports = free_ports(2 * n + 2)
        self.web, self.cluster, (self.lb, self.stats) = ports[:n], ports[n : 2 * n], ports[2 * n :]
        self.servers = []
        for i in range(n):
            command = [self.tocsin, "node", f"--config.file={self.directory}/alertmanager.yml",
                       f"--storage.path={self.directory}/node{i}", f"--web.listen-address=127.0.0.1:{self.web[i]}",
                       f"--cluster.listen-address=127.0.0.1:{self.cluster[i]}",
                       f"--cluster.advertise-address=127.0.0.1:{self.cluster[i]}", *self.flags]
            command += [f"--cluster.peer=127.0.0.1:{p}" for p in self.cluster if p != self.cluster[i]]
            self.servers.append(Server(f"node{i}", command, self.directory))
        command = [self.tocsin, "lb", f"--listen-address=127.0.0.1:{self.lb}", f"--stats.listen-address=127.0.0.1:{self.stats}", "--admin.socket="]
        self.servers.append(Server("lb", command + [f"--backend=127.0.0.1:{p}" for p in self.web], self.directory))
        for port in [*self.web, self.lb]:
            await until(f"port {port} is ready", 60, lambda port=port: ready(port))
        return self

    async def __aexit__(self, *_):
        for server in reversed(self.servers):
            server.stop()
        self.sink.close()

    async def _sink(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                self.seen.append((time.time(), json.loads(await reader.readexactly(length))))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The node hung up, or the run is over.
        finally:
            writer.close()

    def told(self, name):
        return any(a["labels"].get("alertname") == name for _, body in self.seen for a in body["alerts"])

    def dead(self):
        return [s.name for s in self.servers if not s.alive()]


async def until(what, limit, ask):
    end = time.time() + limit
    while not await ask():
        if time.time() > end:
            raise SystemExit(f"not within {limit} s: {what}")
        await asyncio.sleep(0.05)


async def ready(port):
    try:
        return (await request(port, "GET", "/-/ready", timeout=2))[0] == 200
    except OSError:
        return False


async def request(port, method, path, body=b"", headers=(), timeout=30):
    """One request on a connection of its own; (status, body)."""

    async def talk():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            lines = [f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "connection: close",
                     f"content-length: {len(body)}", "content-type: application/json", *headers]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
            try:
                for at in range(0, len(body), 1 << 16):
                    writer.write(body[at : at + (1 << 16)])
                    await writer.drain()
            except ConnectionError:
                pass  # It may answer and close before it has read all.
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
            head, _, rest = answer.partition(b"\r\n\r\n")
            return (int(head.split()[1]) if head else 0), rest
        finally:
            writer.close()

    try:
        return await asyncio.wait_for(talk(), timeout)
    except (asyncio.TimeoutError, ConnectionError):
        return 0, b""


async def fetch(port, path):
    """A GET's whole body."""

    def ask():
        asker = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        asker.request("GET", path)
        return asker.getresponse().read()

    return await asyncio.to_thread(ask)


def alerts(name, count, start=0, **more):
    return json.dumps([{"labels": {"alertname": name, "i": str(start + i), **more}} for i in range(count)]).encode()
