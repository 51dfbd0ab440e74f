"""A server for tests, and a client of it: Python's own library, and libxxhash by ctypes.

Toy ring, tiny model, made with the program that is tested; python3 served.py is no test itself."""
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

BLOCK = 4 << 20
TINY = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 48, "num_hidden_layers": 1,
        "num_attention_heads": 3, "intermediate_size": 80, "vocab_size": 500, "type_vocab_size": 2,
        "max_position_embeddings": 64, "layer_norm_eps": 1e-12}


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


_xxh = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
_xxh.restype = Hash128
_xxh.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3(data):
    h = _xxh(bytes(data), len(data))
    return f"{h.high:016x}{h.low:016x}"


class Setup:
    """Model, container, key halves, requests and what the plain polynomials say of them."""

    def __init__(self, build, texts=4, params="toy12"):
        self.thor = os.path.join(build, "thor")
        self.eval = os.path.join(build, "thor-eval")
        self.toy = ["--insecure-test-params", params]
        self.params = params
        self.dir = tempfile.mkdtemp(prefix="thor-serve-")
        with open(self.path("tiny.json"), "w", encoding="ascii") as f:
            json.dump(TINY, f)
        self.run("synth", "--config", self.path("tiny.json"), "--out", self.path("m"))
        self.run("encode", "--model", self.path("m"), "--calibrate", self.path("m/texts.tsv"), "--tokens", "32",
                 "--out", self.path("w"))
        self.keys("a")
        self.encrypt("a", texts)
        out = self.run("forward", "--data", self.path("t.tsv"), "--index", f"0..{texts - 1}", "--approx", "--model",
                       self.path("m"), "--json")
        self.plain = [json.loads(line)["he_pred" if "he_pred" in line else "pred"] for line in out.splitlines()]

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, *args, program=None):
        p = subprocess.run([program or self.thor, *args], capture_output=True, check=False)
        assert p.returncode == 0, (args, p.returncode, p.stderr.decode())
        return p.stdout.decode()

    def keys(self, name):
        self.run("keygen", "--out", self.path("keys-" + name), "--server-out", self.path("server-" + name), "--weights",
                 self.path("w"), *self.toy)

    def encrypt(self, name, texts):
        with open(self.path("m/texts.tsv"), encoding="utf-8") as f:
            rows = [line.rstrip("\n").split("\t")[1].split(" ")[:14] for line in f.readlines()[1:]]
        with open(self.path("t.tsv"), "w", encoding="utf-8") as f:
            f.write("label\ttext\n" + "".join(f"0\t{' '.join(rows[i % len(rows)])}\n" for i in range(texts)))
        up = self.path("up-" + name)
        os.makedirs(up, exist_ok=True)
        self.run("encrypt", "--data", self.path("t.tsv"), "--index", f"0..{texts - 1}", "--keys",
                 self.path("keys-" + name), "--model", self.path("m"), "--out", up, *self.toy)
        self.requests = []
        for i in range(texts):
            with open(f"{up}/{i}.ct", "rb") as f:
                self.requests.append(f.read())

    def decrypt(self, name, answer, i):
        """The label of an answer to request i; AssertionError unless it is that request's."""
        down = tempfile.mkdtemp(dir=self.dir)
        with open(f"{down}/{i}.ct", "wb") as f:
            f.write(answer)
        out = self.run("decrypt", "--in", down, "--keys", self.path("keys-" + name), "--model", self.path("m"), "--json",
                       *self.toy)
        return json.loads(out)["pred"]

    def token(self, name, *more):
        return self.run("serve", "token", "--name", name, "--tokens", self.path("tokens.json"), *more).strip()

    def remove(self):
        subprocess.run(["rm", "-rf", self.dir], check=False)


class Server:
    def __init__(self, setup, *more, store="store", program=None, wait=True, model=True):
        self.setup = setup
        self.log = open(setup.path(f"log.{time.monotonic_ns()}"), "w+b")
        env = dict(os.environ, OMP_WAIT_POLICY="passive")
        served = ["--model", setup.path("w"), *setup.toy] if model else []
        self.p = subprocess.Popen([program or setup.eval, "serve", *served, "--listen", "127.0.0.1:0", "--store",
                                   setup.path(store), "--tokens", setup.path("tokens.json"), *more],
                                  stdout=subprocess.DEVNULL, stderr=self.log, env=env)
        self.port = None
        end = time.monotonic() + 60
        while wait and self.port is None:
            assert self.p.poll() is None and time.monotonic() < end, self.lines()
            found = re.search(r'"listening".*?"address":"127.0.0.1:(\d+)"', self.lines())
            if found and '"event":"ready"' in self.lines():
                self.port = int(found.group(1))
            time.sleep(0.01)

    def lines(self):
        with open(self.log.name, "rb") as f:
            return f.read().decode(errors="replace")

    def rss(self):
        with open(f"/proc/{self.p.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) << 10

    def kill(self):
        self.p.kill()
        self.p.wait()

    def stop(self, timeout=60):
        self.p.send_signal(signal.SIGTERM)
        return self.p.wait(timeout)


def claim(server, token, method, path, length, **headers):
    """What a header alone gets: a body of so many bytes is promised and never sent."""
    text = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as c:
        c.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n"
                  f"{text}\r\n".encode())
        r = http.client.HTTPResponse(c)
        r.begin()
        return Answer(r.status, r.headers, r.read())


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def problem(self):
        return self.json()["type"].removeprefix("urn:thor:") if self.status >= 400 else None


class Client:
    """One connection of a token."""

    def __init__(self, server, token=None, timeout=120):
        self.port, self.token = server.port, token
        self.c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, **headers):
        h = {k.replace("_", "-"): v for k, v in headers.items()}
        if self.token:
            h["Authorization"] = "Bearer " + self.token
        try:
            self.c.request(method, path, body=body, headers=h)
            r = self.c.getresponse()
            return Answer(r.status, r.headers, r.read())
        except (http.client.HTTPException, OSError):
            self.c.close()
            raise

    def declare(self, file, model, tokens, params):
        with open(file, "rb") as f:
            data = f.read()
        body = {"model": model, "tokens": tokens, "parameters": params, "id": data[32:48].hex(), "bytes": len(data),
                "blocks": [xxh3(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)]}
        return data, body, self.ask("POST", "/v1/keys", json.dumps(body), Content_Type="application/json")

    def append(self, where, data, at):
        return self.ask("PATCH", where, data, Content_Type="application/offset+octet-stream", Upload_Offset=str(at))

    def upload(self, setup, name):
        m = self.ask("GET", "/v1/models").json()["models"][0]
        data, _, a = self.declare(setup.path(f"server-{name}/eval.key"), m["id"], 32, setup.params)
        assert a.status in (200, 201), (a.status, a.body)
        at = int(a.headers["Upload-Offset"])
        b = self.append(a.headers["Location"], data[at:], at)
        assert b.status == 204 and b.headers["Upload-Complete"] == "?1", (b.status, b.body)
        return m["id"], a.headers["Location"]

    def classify(self, model, request, **headers):
        return self.ask("POST", f"/v1/models/{model}/classify", request, Content_Type="application/octet-stream", **headers)
