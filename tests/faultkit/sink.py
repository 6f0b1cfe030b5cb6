"""The webhook receiver: keeps what it is told, and can be slow, hung or down for some nodes."""
import http.server
import json
import select
import socketserver
import threading
import time

from .history import Delivery


class Sink:
    """Listens on `address`; `delay` and `status` may be changed at any time, for all nodes or (hung) for one."""

    def __init__(self, address, port, history):
        self.history = history
        self.delay = 0.0
        self.status = 200
        self.hung = set()
        self.attempts = 0
        self.speaking = {}    # group: how many requests are being answered
        self.at_once = 0      # the most that one group ever had
        self.stop = threading.Event()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status = sink.take(json.loads(body), self.path, self.connection)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 512

            def handle_error(self, *_):
                pass  # A node that died while it spoke.

        self.server = Server((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, body, path, connection):
        """Counts requests of one group that overlap, and answers."""
        group = (path, body["groupKey"])
        with self.history.lock:
            self.attempts += 1
            self.speaking[group] = self.speaking.get(group, 0) + 1
            self.at_once = max(self.at_once, self.speaking[group])
        try:
            return self.answer(body, path, time.time(), connection)
        finally:
            with self.history.lock:
                self.speaking[group] -= 1

    def wait_for_sender(self, connection):
        """Lets it wait, unless it has gone away: then the request is over."""
        select.select([connection], [], [], self.delay)

    def answer(self, body, path, now, connection):
        """Told is what is answered with 200."""
        node = body["externalURL"].split("//")[1].split(":")[0].rstrip("/")
        if node in self.hung:
            self.stop.wait(600)
            return 503
        status = self.status
        if status != 200:
            self.wait_for_sender(connection)
            return status
        alerts = tuple(sorted((a["labels"]["alertname"], a["labels"].get("i", ""), a["status"]) for a in body["alerts"]))
        self.history.told(Delivery(now, node, path.strip("/"), body["groupKey"], body["status"], alerts))
        self.stop.wait(self.delay)
        return 200

    def close(self):
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()
