"""Who posts: single requests, and a source that repeats its alerts as Prometheus does."""
import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta, timezone

BATCH = 64


def after(seconds):
    """The moment `seconds` from now as RFC 3339."""
    at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def request(address, method, path, body=None, timeout=10.0):
    """Status, headers and text of the answer; OSError when there is none."""
    host, port = address
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"no whole answer: {error!r}") from error
    finally:
        connection.close()


class Source:
    """Alerts that it fires, repeats every `every` seconds with an end `lasts` seconds ahead (None: without one), and ends."""

    def __init__(self, address, history, every=5.0, lasts=20.0, pad=0, timeout=10.0):
        self.address, self.history, self.every, self.lasts = address, history, every, lasts
        self.pad, self.timeout = pad, timeout
        self.active, self.lock = {}, threading.Lock()   # key: when it ended, or None
        self.stop = threading.Event()
        self.pool = ThreadPoolExecutor(8)
        self.thread = threading.Thread(target=self._repeat, daemon=True)
        self.thread.start()

    def fire(self, *names, count=1, repeat=True, lasts=None):
        """Posts each name as one request with `count` alerts; answers whether all were acknowledged."""
        posts = []
        for name in names:
            keys = [(name, str(i)) for i in range(count)]
            if repeat:
                with self.lock:
                    self.active.update(dict.fromkeys(keys))
            posts.append(self.pool.submit(self._post, [(key, None) for key in keys], lasts))
        return all([post.result() for post in posts])

    def end(self, *names):
        """From now on the source says that these have ended."""
        now = time.time()
        with self.lock:
            keys = [key for key in self.active if key[0] in names]
            for key in keys:
                self.active[key] = now
        with self.history.lock:
            for key in keys:
                self.history.ending.setdefault(key, now)
        self._send([(key, now) for key in keys])

    def end_all(self):
        with self.lock:
            names = {name for name, _ in self.active}
        self.end(*names)

    def close(self):
        self.stop.set()
        self.thread.join()
        self.pool.shutdown()

    def _repeat(self):
        while not self.stop.wait(self.every):
            with self.lock:
                everything = list(self.active.items())
            self._send(everything)

    def _send(self, alerts):
        firing = [alert for alert in alerts if alert[1] is None]
        ended = [alert for alert in alerts if alert[1] is not None]
        parts = [of[at:at + BATCH] for of in (firing, ended) for at in range(0, len(of), BATCH)]
        wait([self.pool.submit(self._post, part, None) for part in parts])

    def _post(self, alerts, lasts):
        body = [self._alert(key, ended, lasts) for key, ended in alerts]
        keys, firing, began = [key for key, _ in alerts], alerts[0][1] is None, time.time()
        try:
            status, headers, _ = request(self.address, "POST", "/api/v2/alerts", body, self.timeout)
        except OSError as error:
            self.history.posted(began, keys, firing, type(error).__name__, False)
            return False
        self.history.posted(began, keys, firing, status, headers.get("Tocsin-Write") == "degraded")
        return status == 200

    def _alert(self, key, ended, lasts):
        name, i = key
        lasts = lasts or self.lasts
        alert = {"labels": {"alertname": name, "i": i, "severity": "warning"}, "annotations": {"summary": "made by a test" + "." * self.pad}}
        if ended is not None:
            alert["endsAt"] = after(ended - time.time())
        elif lasts is not None:
            alert["endsAt"] = after(lasts)
        return alert
