"""thor serve at twice its capacity: load.py BUILD.

LOAD_SECONDS (8), LOAD_CLIENTS (12) and LOAD_WARM (2) sentences before; `make serve-load`: 10 minutes, 200 clients.
Every answer must be, bit for bit, one that decrypts to the plain prediction; the rest gets 429 with Retry-After; the
worker computes at least 0.95 (CI: 0.8) of the time; memory stays."""
import hashlib
import os
import re
import sys
import threading
import time

from checks import dose, run
from served import Client, Server

SECONDS, CLIENTS, WARM = dose("LOAD_SECONDS", 5, 8), dose("LOAD_CLIENTS", 6, 12), dose("LOAD_WARM", 1, 2)
QUEUE = 4
BUSY = float(os.environ.get("LOAD_BUSY", "0.8"))


def figures(ops):
    text = ops.ask("GET", "/metrics").body.decode()
    return tuple(float(re.search(name + r" ([-+.e0-9]+)", text).group(1))
                 for name in (r"\nthor_sentence_seconds_sum", r"\nthor_sentence_seconds_count"))


class Load:
    def __init__(self, setup, server, token, model):
        self.setup, self.server, self.token, self.model = setup, server, token, model
        self.lock, self.answers, self.refused, self.bad = threading.Lock(), {}, 0, []
        self.n = self.sent = 0

    def ask_one(self, client, i):
        r = client.classify(self.model, self.setup.requests[i], Prefer="wait")
        with self.lock:
            self.sent += 1
            if r.status == 200:
                self.n += 1
                self.answers.setdefault((i, hashlib.sha256(r.body).digest()), r.body)
            elif r.status == 429 and r.problem() == "queue-full" and int(r.headers["Retry-After"]) >= 1:
                self.refused += 1
            else:
                self.bad.append((r.status, r.body[:200]))
        return r.status

    def client(self, number, pause, end):
        i = number
        time.sleep(pause * number / CLIENTS)
        while time.monotonic() < end:
            try:
                self.ask_one(Client(self.server, self.token), i % len(self.setup.requests))
            except OSError as e:
                with self.lock:
                    self.bad.append(("connection", repr(e)))
            i += 1
            time.sleep(pause * (0.5 + (i * 37 % 100) / 100))


def load(s):
    token, ops = s.token("alice"), s.token("ops", "--operator")
    v = Server(s, "--queue", str(2 * QUEUE))  # one account alone has half of it
    c, o = Client(v, token), Client(v, ops)
    model, _ = c.upload(s, "a")
    one = Load(s, v, token, model)
    for k in range(WARM):
        one.ask_one(c, k % len(s.requests))
    sum0, n0 = figures(o)
    each = sum0 / n0
    seconds = max(SECONDS, 4 * each)  # so that sentences end in it, however slow the build
    began = time.monotonic()
    # twice as often in all as the server can answer: half of the asks are answered, after the queue and one sentence more
    pause = each * (CLIENTS / 2 - (QUEUE + 1) / 2)
    threads = [threading.Thread(target=one.client, args=(k, pause, began + seconds)) for k in range(CLIENTS)]
    for t in threads:
        t.start()
    early, ends = None, []  # when sentences had ended, and what they had taken in all
    while any(t.is_alive() for t in threads):
        time.sleep(0.2)
        if early is None and time.monotonic() - began > min(60, seconds / 3):
            early = v.rss()
        if time.monotonic() < began + seconds:
            rss, (sum1, n1), at = v.rss(), figures(o), time.monotonic()
            if n1 > (ends[-1][1] if ends else n0):
                ends.append((at, n1, sum1))
    busy = (ends[-1][2] - ends[0][2]) / (ends[-1][0] - ends[0][0])
    print(f"load: {one.sent} asked, {one.n} answered, {one.refused} refused in {at - began:.0f} s by {CLIENTS} clients; "
          f"{(sum1 - sum0) / (n1 - n0):.2f} s a sentence, computing {busy:.3f} of the time; "
          f"RSS {early >> 20} MiB, then {(rss - early) / early:+.2%}")
    assert not one.bad, one.bad[:3]
    assert one.n >= n1 - n0 + WARM > WARM and one.refused > 0
    for (i, _), body in one.answers.items():
        assert s.decrypt("a", body, i) == s.plain[i], "a wrong answer"
    assert busy >= BUSY, busy
    assert seconds < 60 or rss < early * 1.01, (early, rss)
    assert v.stop() == 0


if __name__ == "__main__":
    sys.exit(run([load], os.path.abspath(sys.argv[1])))
