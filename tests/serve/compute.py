"""Split mode over HTTP: compute.py BUILD.  Training through the server, hostile products, bounds, ends."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

from checks import FULL, run
from served import BLOCK, Client, Server, claim, xxh3
from tap import Tap

OCTETS = {"Content_Type": "application/octet-stream"}
HEAD, ID = 64, "0" * 32
state = {}


def refused(a, status, name, word=""):
    assert (a.status, a.problem()) == (status, name) and word in a.json()["detail"], (a.status, a.body)
    state.setdefault("statuses", set()).add(status)
    return a


def begin(s):
    """A server with a model of split mode, a line to it, and a client that has logged in over it."""
    state["alice"], state["bob"] = s.token("alice"), s.token("bob", "--requests-a-day", "1")
    state["server"] = Server(s, "--split", s.path("m"))
    state["tap"] = Tap(state["server"].port)
    with open(s.path("token"), "w", encoding="ascii") as f:
        f.write(state["alice"])
    s.run("remote", "login", state["tap"].url, "--login", s.path("login"), "--token-file", s.path("token"))
    state["a"], state["b"] = (Client(state["server"], state[k]) for k in ("alice", "bob"))


def tune(s, out, *where, steps=2):
    return [s.thor, "tune", "train", "--model", s.path("m"), "--data", s.path("t.tsv"), "--batch", "2", "--maps", "all",
            "--seed", "s", "--every", "1", "--steps", str(steps), "--out", s.path(out), *where]


def at_server(s):
    return ("--server", state["tap"].url, "--login", s.path("login"))


def losses(s, out):
    with open(s.path(out + "/log.jsonl"), encoding="ascii") as f:
        return [json.loads(line)["loss"] for line in f]


def close_to(a, b):
    return len(a) == len(b) and all(abs(x - y) < 5e-3 * abs(y) for x, y in zip(a, b))


def train(s):
    """The losses of the local encrypted service and of doubles; keys come once and go at the end."""
    for out, where in (("plain", ("--plain",)), ("local", ("--local",)), ("remote", at_server(s))):
        s.run(*tune(s, out, *where)[1:])
    three = [losses(s, out) for out in ("plain", "local", "remote")]
    assert close_to(three[2], three[0]) and close_to(three[2], three[1]), three
    assert losses(s, "remote") != losses(s, "plain"), "nothing was encrypted"
    assert state["a"].ask("GET", "/v1/keys").json()["keys"] == [] and not os.listdir(s.path("store/keys"))
    asked = state["tap"].requests()
    assert len([r for r in asked if r[0] == "PATCH"]) == 1, "one upload of keys for all layers"
    state["products"] = [r[3] for r in asked if r[1] == "/compute"]
    kinds = {(p[12], p[16]) for p in state["products"]}  # of the lowest map that is trained no gradient goes further
    assert kinds == {(m, t) for m in range(4) for t in range(2)} - {(0, 1)}, kinds
    state["keys"] = next(r[3] for r in asked if r[0] == "PATCH")
    out = s.run("tune", "eval", "--model", s.path("m"), "--adapter", s.path("remote"), "--data", s.path("t.tsv"), *at_server(s))
    assert out.startswith("server")


def declare(who, **other):
    data = state["keys"]
    body = {"model": state["model"]["id"], "tokens": 0, "parameters": "n12", "id": data[32:48].hex(), "bytes": len(data),
            "blocks": [xxh3(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)], **other}
    return who.ask("POST", "/v1/keys", json.dumps(body), Content_Type="application/json")


def upload(s):
    """Keys of split mode: the one size, set and kind of them; another account's are not there."""
    a, b = state["a"], state["b"]
    m = state["model"] = a.ask("GET", "/v1/split").json()
    assert m["parameters"] == "n12" and m["keys"] == 117 and m["key_bytes"] == len(state["keys"]) and m["layers"] == 1
    assert m["in"] == [48, 48, 48, 80] and m["out"] == [144, 48, 80, 48]
    refused(declare(a, parameters="toy12"), 422, "bad-keys", "n12")
    refused(declare(a, tokens=32), 422, "bad-keys", s.params)
    refused(declare(a, bytes=len(state["keys"]) - 1), 413, "too-long")
    refused(declare(a, model="0" * 16), 404, "not-found")
    r = declare(a, id="1" * 32)
    refused(a.append(r.headers["Location"], state["keys"], 0), 422, "bad-keys", "pair")
    for who in (a, b):
        r = declare(who)
        if who is a:  # before they are whole
            state["id"] = r.json()["key"]
            refused(product(a, state["products"][0]), 409, "no-keys", "whole")
        assert who.append(r.headers["Location"], state["keys"], 0).status == 204
    assert a.ask("GET", "/v1/keys/" + state["id"]).json()["tokens"] == 0
    a.upload(s, "a")  # of the model that classifies


def product(who, body, keys=None, **more):
    return who.ask("POST", "/compute", body, **{**OCTETS, "Thor_Keys": keys or state["id"], **more})


def changed(body, at, value):
    return body[:at] + struct.pack("<I", value) + body[at + 4:]


def hostile(s):
    """What is no product of this model and account: one line each, and nothing of it stays."""
    a, b, good = state["a"], state["b"], state["products"][0]
    before = product(a, good)
    assert before.status == 200 and before.body[:4] == b"TSPR" and before.headers["Content-Type"] == "application/octet-stream"
    assert product(a, good).body[HEAD:] == before.body[HEAD:]
    refused(a.ask("POST", "/compute", good, **OCTETS), 400, "malformed", "Thor-Keys")
    refused(product(a, good, keys="../" + ID[3:]), 400, "malformed")
    unknown = refused(product(a, good, keys=ID), 404, "not-found")
    assert product(b, good).body == unknown.body, "another's keys are seen"
    others = next(k["key"] for k in a.ask("GET", "/v1/keys").json()["keys"] if k["tokens"])
    refused(product(a, good, keys=others), 409, "no-keys", "another model")
    for body, word in ((b"", "head of 64"), (good[:63], "head of 64"), (b"X" + good[1:], "no request"),
                       (changed(good, 4, 1), "version"), (changed(good, 24, 1), "no request"),
                       (changed(good, 8, 1), "layer 1 of a model with layers 0..0"), (changed(good, 8, 2**31), "layer"),
                       (changed(good, 12, 4), "stage 4"), (changed(good, 16, 2), "request for"),
                       (changed(good, 20, 0), "0 tokens"), (changed(good, 20, 4097), "1..4096"), (good[:-1], "not")):
        refused(product(a, body), 422, "bad-product", word)
    refused(product(a, good + b"x"), 413, "too-long", "bytes, not")
    refused(product(a, changed(good, 20, 4096)), 422, "bad-product", "bytes, not")
    refused(a.ask("POST", "/compute", good, Thor_Keys=state["id"]), 415, "media-type")
    refused(product(a, iter([good[:99], good[99:], b"x" * 9])), 413, "too-long")  # of no declared length
    refused(product(a, iter([good[:10], good[10:50]])), 422, "bad-product")
    assert product(a, iter([good[:10], good[10:70], good[70:]])).body[HEAD:] == before.body[HEAD:]
    refused(claim(state["server"], state["alice"], "POST", "/compute", 10 << 30, **OCTETS, Thor_Keys=state["id"]), 413,
            "too-long", "at most")
    noise = good[:HEAD] + os.urandom(len(good) - HEAD)
    assert product(a, noise).status in (200, 422) and product(a, good[:HEAD] + b"\xff" * (len(good) - HEAD)).status in (200, 422)
    assert product(b, good, keys=bobs()).status == 200
    refused(product(b, good, keys=bobs()), 429, "quota-requests")
    refused(Client(state["server"]).ask("POST", "/compute", good, **OCTETS), 401, "no-token")
    assert not os.listdir(s.path("store/tmp")) and not os.listdir(s.path("store/jobs"))


def bobs():
    return state["b"].ask("GET", "/v1/keys").json()["keys"][0]["key"]


def half_sent():
    """A connection on which a product's head and a little more came, and the rest does not."""
    good = state["products"][0]
    c = socket.create_connection(("127.0.0.1", state["server"].port))
    c.sendall((f"POST /compute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {state['alice']}\r\nThor-Keys: {state['id']}\r\n"
               f"Content-Type: application/octet-stream\r\nContent-Length: {len(good)}\r\n\r\n").encode() + good[:99])
    return c


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def busy(s):
    """Four products of an account at a time; a client that finds no place comes again."""
    a, good = state["a"], state["products"][0]
    held = [half_sent() for _ in range(4)]
    ops = Client(state["server"], s.token("ops", "--operator"))
    wait_for(lambda: ops.ask("GET", "/v1/status").status == 200)  # a token is seen within two seconds
    wait_for(lambda: ops.ask("GET", "/v1/status").json()["split"]["products"] == 4)
    said = ops.ask("GET", "/metrics").body
    kept = {n: int(v) for n, v in re.findall(rb"\nthor_map_(\w+) ([0-9]+)", said)}
    assert b"\nthor_products 4\n" in said
    assert 0 < kept[b"bytes"] <= kept[b"bytes_most"] and kept[b"hits"] > 0 < kept[b"misses"], kept
    assert int(refused(product(a, good), 429, "products-full").headers["Retry-After"]) > 0
    p = subprocess.Popen(tune(s, "busy", *at_server(s), steps=1), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(lambda: state["server"].lines().count('"problem":"products-full"') >= 3)
    for c in held:
        c.close()
    _, err = p.communicate(timeout=120)
    assert p.returncode == 0 and close_to(losses(s, "busy"), losses(s, "plain")[:1]), err
    wait_for(lambda: product(a, good).status == 200)


def small(s):
    """A budget of memory, and a server that has no model for split mode."""
    v = Server(s, "--split", s.path("m"), "--split-memory", "1", "--maps-memory", "0")
    a, good = Client(v, state["alice"]), state["products"][0]
    refused(product(a, changed(good, 20, 4096)), 413, "too-long", "send fewer tokens")
    assert product(a, good).status == 200
    v.stop()
    v = Server(s)
    a = Client(v, state["alice"])
    refused(product(a, good), 404, "no-split")
    refused(a.ask("GET", "/v1/split"), 404, "no-split")
    v.stop()


def started(s, out, steps):
    p = subprocess.Popen(tune(s, out, *at_server(s), steps=steps), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(lambda: os.path.exists(s.path(out + "/log.jsonl")) and losses(s, out), 120)
    return p


def ends(s):
    """The server is killed and comes back without its keys; the client is stopped and goes on."""
    s.run(*tune(s, "whole", "--plain", steps=5)[1:])
    p = started(s, "killed", 5)
    state["server"].kill()
    state["server"] = Server(s, "--split", s.path("m"), store="store2")
    state["tap"].target = state["server"].port
    _, err = p.communicate(timeout=200)
    assert p.returncode == 0 and close_to(losses(s, "killed"), losses(s, "whole")), err
    p = started(s, "stopped", 400)
    p.send_signal(signal.SIGTERM)
    _, err = p.communicate(timeout=60)
    assert p.returncode == 9 and b"stopped behind step" in err and os.path.exists(s.path("stopped/checkpoint")), err
    assert not os.listdir(s.path("store2/keys")), "keys of a client that was stopped"
    v, codes = state["server"], []
    p = started(s, "drained", 400)  # a server that ends answers what it has
    codes.append(v.stop())
    state["server"] = Server(s, "--split", s.path("m"), store="store2")
    state["tap"].target = state["server"].port
    n = len(losses(s, "drained"))
    wait_for(lambda: len(losses(s, "drained")) > n + 1, 120)
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=60)
    assert p.returncode == 9 and codes == [0], codes
    assert not re.search(r'"problem":"internal"', v.lines())


def command_line(s):
    """What the client refuses."""
    other = s.path("other")
    s.run("synth", "--config", s.path("tiny.json"), "--out", other, "--seed", "5")
    for args, code, word in (
            (["--server", "http://127.0.0.1:1", "--login", s.path("login")], 2, "the login is for"),
            (["--server", "nowhere", "--login", s.path("login")], 2, "no address"),
            (["--server", state["tap"].url, "--login", s.path("none")], 2, "thor remote login"),
            (["--server", state["tap"].url, "--login", s.path("login"), "--local"], 2, "exclude each other"),
            ([*at_server(s), "--model", other], 4, "not by those of")):
        p = subprocess.run(tune(s, "no", *args), capture_output=True, timeout=60, check=False)
        assert p.returncode == code and word in p.stderr.decode().splitlines()[-1], (args, p.returncode, p.stderr)
        assert not os.path.exists(s.path("no"))
    base = [s.eval, "serve", "--listen", "127.0.0.1:0", "--store", s.path("other-store"), "--tokens", s.path("tokens.json")]
    p = subprocess.run([*base, "--split", s.path("none")], capture_output=True, timeout=60, check=False)
    assert p.returncode == 4 and b"none" in p.stderr, p.stderr


def documented(_):
    """Every status that was seen is in /openapi.json, and the header that a product wants."""
    o = Client(state["server"]).ask("GET", "/openapi.json").json()["paths"]
    assert {str(x) for x in state["statuses"]} <= set(o["/compute"]["post"]["responses"])
    assert o["/compute"]["post"]["parameters"][0]["name"] == "Thor-Keys" and "get" in o["/v1/split"]


def end(_):
    assert state["server"].stop() == 0
    state["tap"].close()


if __name__ == "__main__":
    most = [busy, small, ends, command_line] if FULL else []
    sys.exit(run([begin, train, upload, hostile, *most, documented, end], os.path.abspath(sys.argv[1])))
