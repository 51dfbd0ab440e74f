"""Hostile requests against thor serve: hostile.py BUILD.

HOSTILE (400) requests out of a generator (HOSTILE_SEED), LORIS (40) connections that send a byte now and then;
`make serve-hostile`: 10,000 and 500.  No crash, no leak (under the sanitizers), nothing of one account shown to the
other, nothing written outside the store, memory within bounds."""
import os
import random
import socket
import sys
import time

from checks import dose, run
from served import Client, Server

COUNT, LORIS = dose("HOSTILE", 200, 400), dose("LORIS", 20, 40)
SEED = int(os.environ.get("HOSTILE_SEED", str(time.time_ns() % 10**9)))
METHODS = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "X" * 300, "\0", "GET\0"]
NASTY = ["..", "../../../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "%c0%ae", "0" * 32, "f" * 32, "A" * 5000,
         "{key}", "~root", ";ls", "\\..\\", "%s%n%n", "\xff\xfe", "", "?x=1", "#", "jobs", "keys", "tmp"]
NUMBERS = ["-1", "0", "1", "4194304", "18446744073709551615", "18446744073709551616", "1e9", "0x10", "10737418240", " 5", "", "NaN"]
BODIES = [b"", b"{", b"[" * 5000, b'{"model":' + b"1" * 400, b"\0" * 1000, b"THORCTXT" + b"\xff" * 300, b'{"blocks":[]}',
          b'{"bytes":1e99}', b'{"a":"\\u0000"}', b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n"]


class Hostile:
    def __init__(self, setup, server, tokens, model, key):
        self.setup, self.server, self.tokens, self.model, self.key = setup, server, tokens, model, key
        self.rnd = random.Random(SEED)
        self.status = {}

    def path(self):
        r = self.rnd
        known = ["/", "/v1/keys", "/v1/jobs", "/v1/models", "/v1/account", "/v1/status", "/metrics", "/openapi.json",
                 f"/v1/models/{self.model}/classify", self.key, self.key.replace("keys", "jobs"), self.key + "/answer"]
        p = r.choice(known)
        if r.random() < 0.5:
            p += r.choice(["", "/"]) + r.choice(NASTY)
        if r.random() < 0.1:
            p = "".join(chr(r.randrange(33, 127)) for _ in range(r.randrange(1, 60)))
        return p

    def headers(self, length):
        r = self.rnd
        h = {"Host": "x"}
        if r.random() < 0.8:
            h["Authorization"] = "Bearer " + r.choice([*self.tokens, "thor_", "thor_" + "A" * 43, "x" * 3000, self.tokens[0][:-1]])
        if r.random() < 0.7:
            h["Content-Type"] = r.choice(["application/json", "application/octet-stream", "application/offset+octet-stream", "a" * 999])
        if r.random() < 0.5:
            h["Upload-Offset"] = r.choice(NUMBERS)
        if r.random() < 0.2:
            h["Idempotency-Key"] = r.choice(NASTY + ["abcdefgh"])
        if r.random() < 0.2:
            h["Prefer"] = r.choice(["wait=-1", "wait=1e99", "wait=x", "wait" * 99])
        if r.random() < 0.2:
            h["Expect"] = "100-continue"
        k = r.random()
        if k < 0.7:
            h["Content-Length"] = str(length)
        elif k < 0.9:
            h["Content-Length"] = r.choice(NUMBERS)
        else:
            h["Transfer-Encoding"] = r.choice(["chunked", "gzip, chunked", "identity"])
        if r.random() < 0.05:
            h["X-" + "a" * 10] = "b" * r.choice([10, 70000, 400000])
        return h

    def body(self):
        r = self.rnd
        k = r.random()
        if k < 0.5:
            return r.choice(BODIES)
        good = bytearray(self.setup.requests[0])
        for _ in range(r.randrange(1, 4)):
            good[r.randrange(300 if r.random() < 0.8 else len(good))] ^= 1 << r.randrange(8)
        return bytes(good[:r.randrange(len(good))] if r.random() < 0.5 else good)

    def once(self):
        r, body = self.rnd, self.body()
        head = f"{r.choice(METHODS[:6] if r.random() < 0.8 else METHODS)} {self.path()} HTTP/{r.choice(['1.1'] * 8 + ['1.0', '9', ''])}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in self.headers(len(body)).items()) + "\r\n"
        raw = head.encode("latin-1") + body
        if r.random() < 0.15:
            raw = raw[:r.randrange(len(raw))]
        if r.random() < 0.05:
            raw = r.randbytes(r.randrange(1, 3000))
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=0.4) as c:
            try:
                c.sendall(raw)
                if r.random() < 0.2:
                    c.shutdown(socket.SHUT_WR)
                answer = c.recv(1 << 16)
            except OSError:
                answer = b""
        code = answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 ") else "none"
        self.status[code] = self.status.get(code, 0) + 1
        assert self.setup.dir.encode() not in answer, (raw[:300], answer)
        assert code != "500", (SEED, raw[:400], answer[-300:])
        for name in (b"bob", b"secret"):
            assert name not in answer or self.tokens[1].encode() in raw or b"openapi" in raw, (raw[:300], answer)


def hostile(s):
    tokens = [s.token("alice"), s.token("bob"), s.token("ops", "--operator")]
    v = Server(s, "--queue", "2", "--connections", str(LORIS + 100))
    bob = Client(v, tokens[1])
    model, key = bob.upload(s, "a")
    work = bob.classify(model, s.requests[0], Prefer="wait")
    assert work.status == 200
    h = Hostile(s, v, [tokens[0], tokens[0] + "x"], model, key)
    slow = []
    for i in range(LORIS):
        c = socket.create_connection(("127.0.0.1", v.port))
        c.sendall(b"POST /v1/keys HTTP/1.1\r\nX: " if i % 2 else f"PATCH {key} HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nx".encode())
        slow.append(c)
    outside = sorted(os.listdir(s.dir))
    before, began = v.rss(), time.monotonic()
    for i in range(COUNT):
        h.once()
        if i % 20 == 0:
            for c in slow:
                try:
                    c.send(b"y")
                except OSError:
                    pass
        if i % 100 == 0:
            assert Client(v).ask("GET", "/healthz").status == 200 and v.p.poll() is None
    rss = v.rss()
    print(f"hostile: seed {SEED}, {COUNT} requests and {LORIS} slow connections in {time.monotonic() - began:.0f} s, "
          f"answers {dict(sorted(h.status.items()))}, RSS {(rss - before) / 2**20:+.1f} MiB")
    assert rss - before < 64 << 20
    assert sorted(os.listdir(s.dir)) == outside, "something was written beside the store"
    alice = Client(v, tokens[0])
    assert alice.ask("GET", "/v1/keys").json()["keys"] == [] and alice.ask("GET", key).status == 404
    bob = Client(v, tokens[1])
    assert bob.ask("GET", key).json()["state"] == "ready"
    again = bob.classify(model, s.requests[0], Prefer="wait")
    assert again.status == 200 and again.body == work.body
    end = time.monotonic() + 60  # who is too slow is cut off
    while time.monotonic() < end and COUNT >= 400:
        try:
            if slow[1].recv(99, socket.MSG_DONTWAIT) == b"":
                break
        except BlockingIOError:
            time.sleep(0.5)
        except OSError:
            break
    assert time.monotonic() < end or COUNT < 400, "a connection without a header is not cut off"
    for c in slow:
        c.close()
    code = v.stop()
    assert code == 0 and "ERROR: " not in v.lines() and "runtime error" not in v.lines(), (code, v.lines()[-2000:])


if __name__ == "__main__":
    sys.exit(run([hostile], os.path.abspath(sys.argv[1])))
