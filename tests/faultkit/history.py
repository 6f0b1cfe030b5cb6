"""What clients sent and what the receiver heard, and the invariants that the two together must keep."""
import threading
import time
from collections import namedtuple

# One request at the receiver: when, from which node, for which group, and its alerts as (name, i, status).
Delivery = namedtuple("Delivery", "at node receiver group status alerts")
# Alerts that count as told late are told after group_wait plus this many seconds, if a scenario names no bound.
BOUND_CALM = 1.0


class History:
    """Everything that happened, by the clock of this process. Safe to use from any thread."""

    def __init__(self):
        self.lock = threading.Lock()
        self.calls = []      # (began, ended, how many alerts, the first, firing, answer)
        self.errors = []
        self.degraded = 0
        self.fired = {}      # (name, i): when it was first acknowledged firing, without a warning
        self.ending = {}     # (name, i): when its source first tried to say that it has ended
        self.ended = {}      # (name, i): when that was first acknowledged
        self.silenced = set()
        self.deliveries = []
        self.ready = []      # (node, started, ready)

    @property
    def posts(self):
        return len(self.calls)

    def posted(self, began, keys, firing, status, degraded):
        """An answer to a post, or what went wrong (`status` is a text then)."""
        now = time.time()
        with self.lock:
            self.calls.append((began, now, len(keys), keys[0], firing, f"{status}{' degraded' * degraded}"))
            if status != 200:
                self.errors.append(str(status))
            elif degraded:
                self.degraded += 1
            else:
                acknowledged = self.fired if firing else self.ended
                for key in keys:
                    acknowledged.setdefault(key, now)

    def told(self, delivery):
        with self.lock:
            self.deliveries.append(delivery)

    def tellings(self, status):
        """For each alert the times at which it was told in that status."""
        times = {}
        with self.lock:
            for delivery in self.deliveries:
                for name, i, of in delivery.alerts:
                    if of == status:
                        times.setdefault((name, i), []).append(delivery.at)
        return times

    def untold(self):
        told = self.tellings("firing")
        with self.lock:
            return [key for key in self.fired if key not in told and key[0] not in self.silenced]

    def unended(self):
        fired, ended = self.tellings("firing"), self.tellings("resolved")
        with self.lock:
            return [key for key in self.ended if key in fired and key not in ended]

    def leaked(self):
        return sorted(key for key in self.tellings("firing") if key[0] in self.silenced)

    def late(self, group_wait):
        """Seconds after acknowledgement and group_wait at which each alert was told first, ascending."""
        told = self.tellings("firing")
        return sorted(told[key][0] - at - group_wait for key, at in self.fired.items() if key in told)

    def repeated(self):
        """Deliveries that say what the delivery before them said of the same group."""
        last, again = {}, []
        with self.lock:
            for delivery in sorted(self.deliveries):
                group = (delivery.receiver, delivery.group)
                if last.get(group) == delivery.alerts:
                    again.append(delivery)
                last[group] = delivery.alerts
        return again

    def falsely_ended(self):
        """Alerts told resolved before their source said so."""
        never = float("inf")
        told = self.tellings("resolved")
        return sorted(key for key, times in told.items() if times[0] < self.ending.get(key, never))

    def fired_again(self):
        """Alerts told firing after they were told resolved."""
        ended = self.tellings("resolved")
        firing = self.tellings("firing")
        return sorted(key for key, times in ended.items() if times[0] < max(firing.get(key, [0])))

    def too_early(self):
        """Deliveries by a node that was not ready; it may have been so for the time between two looks."""
        return [
            delivery
            for delivery in self.deliveries
            for node, started, ready in self.ready
            if delivery.node == node and started < delivery.at < ready - 0.5
        ]

    def story(self):
        """All that was acknowledged and told, in order, for whoever looks for a reason."""
        events = [(at, f"acknowledged firing {key}") for key, at in self.fired.items()]
        events += [(at, f"source ends {key}") for key, at in self.ending.items()]
        events += [(at, f"acknowledged ended {key}") for key, at in self.ended.items()]
        events += [(at, f"{node} started, ready after {ready - at:.1f} s") for node, at, ready in self.ready]
        events += [(d.at, f"{d.node} tells {d.receiver} {d.status} {d.group} {d.alerts}") for d in self.deliveries]
        for began, ended, count, first, firing, answer in self.calls:
            events.append((began, f"{count} {'firing' if firing else 'ended'} from {first}: {answer} after {ended - began:.2f} s"))
        begun = min((at for at, _ in events), default=0.0)
        return "".join(f"{at - begun:8.2f} {text}\n" for at, text in sorted(events))
