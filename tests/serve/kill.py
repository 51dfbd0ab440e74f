"""kill -9 at SERVE_KILLS (3) random moments of uploads and jobs: kill.py BUILD; `make serve-kill`: 100.

Afterwards an upload goes on at its offset and is the file, a job that was accepted is answered with the right bits or
told to be lost, and nothing half-made is left."""
import http.client
import os
import random
import sys
import threading
import time

from checks import dose, run
from served import BLOCK, Client, Server

KILLS = dose("SERVE_KILLS", 1, 3)
rnd = random.Random(int(os.environ.get("HOSTILE_SEED", str(time.time_ns()))))


class Attempt:
    """What a client does until its server dies."""

    def __init__(self, setup, server, token, uploader, model, where, data):
        self.setup, self.server, self.token, self.uploader, self.model = setup, server, token, uploader, model
        self.where, self.data, self.accepted = where, data, []

    def upload(self):
        try:
            c = Client(self.server, self.uploader, timeout=20)
            at = int(c.ask("HEAD", self.where).headers["Upload-Offset"])
            c.append(self.where, self.data[at:], at)
        except (OSError, http.client.HTTPException):
            pass

    def work(self, number):
        c = Client(self.server, self.token, timeout=20)
        for k in range(9):
            try:
                i = k % len(self.setup.requests)
                r = c.classify(self.model, self.setup.requests[i], Idempotency_Key=f"round-{number}-{k}")
                if r.status == 202:
                    self.accepted.append((r.headers["Location"], i))
                time.sleep(rnd.random() * 0.3)
            except Exception:  # pylint: disable=broad-except
                return


def tear(s, v, a, number):
    threads = [threading.Thread(target=a.upload), threading.Thread(target=a.work, args=(number,))]
    for t in threads:
        t.start()
    time.sleep(rnd.random() * rnd.choice([0.2, 0.8, 3]))
    v.kill()
    for t in threads:
        t.join()


def kills(s):
    alice, bob = s.token("alice"), s.token("bob")
    v = Server(s, "--queue", "64")
    model, _ = Client(v, alice).upload(s, "a")
    right = {}
    for i, request in enumerate(s.requests):
        right[i] = Client(v, alice).classify(model, request, Prefer="wait").body
        assert s.decrypt("a", right[i], i) == s.plain[i]
    lost = offsets = 0
    done = 0
    for number in range(KILLS):
        c = Client(v, bob)
        data, _, r = c.declare(s.path("server-a/eval.key"), model, 32, s.params)
        where = r.headers["Location"]
        a = Attempt(s, v, alice, bob, model, where, data)
        tear(s, v, a, number)
        assert os.listdir(s.path("store/servers")) != []
        v = Server(s, "--queue", "64")
        c, b = Client(v, alice), Client(v, bob)
        r = b.ask("HEAD", where)
        at = int(r.headers["Upload-Offset"])
        assert r.status == 200 and (at % BLOCK == 0 or at == len(data)), (r.status, at)
        offsets += 0 < at < len(data)
        if at < len(data):
            r = b.append(where, data[at:], at)
            assert r.status == 204, r.body
        with open(s.path(f"store/keys/{os.path.basename(where)}/eval.key"), "rb") as f:
            assert f.read() == data, "a torn upload"
        assert b.ask("DELETE", where).status == 204
        for job, i in a.accepted:
            c.ask("GET", job + "/events")
            r = c.ask("GET", job + "/answer")
            if r.status == 500 and r.problem() == "lost":
                lost += 1
                continue
            assert r.status == 200 and r.body == right[i], (r.status, r.body[:200])
            done += 1
            c.ask("DELETE", job)
    print(f"killed {KILLS} times: {done} jobs answered rightly, {lost} told to be lost, {offsets} uploads went on within")
    assert offsets or KILLS < 20
    for _ in range(100):  # what the dead left in tmp/ is swept
        if not os.listdir(s.path("store/tmp")):
            break
        time.sleep(0.1)
    assert not os.listdir(s.path("store/tmp")), os.listdir(s.path("store/tmp"))
    left = [f for _, _, files in os.walk(s.path("store")) for f in files if f.endswith(".tmp")]
    assert not left, left
    assert v.stop() == 0 and not os.listdir(s.path("store/servers"))


if __name__ == "__main__":
    sys.exit(run([kills], os.path.abspath(sys.argv[1])))
