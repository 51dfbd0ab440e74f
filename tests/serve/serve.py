"""thor serve at a toy ring: serve.py BUILD.  Routes, uploads, jobs, tokens, draining, two servers on one folder."""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

from checks import FULL, run
from served import BLOCK, Answer, Client, Server, claim, xxh3

ID = "0" * 32
seen = set()  # (method, route, status) that a server gave
state = {}


def patterns(api):
    return [(m.upper(), p, re.compile("^" + re.sub(r"\{\w+\}", "[0-9a-f]+", p) + "$"), set(op["responses"]))
            for p, ops in api["paths"].items() for m, op in ops.items()]


class Watched(Client):
    def ask(self, method, path, body=None, **headers):
        a = super().ask(method, path, body, **headers)
        seen.add(("GET" if method == "HEAD" else method, path, a.status))
        if a.status >= 400 and method != "HEAD":
            o = a.json()
            assert a.headers["Content-Type"] == "application/problem+json" and o["status"] == a.status
            assert o["type"].startswith("urn:thor:") and o["title"] and o["detail"], o
        assert "default-src 'self'" in a.headers["Content-Security-Policy"]
        return a


def known(client):
    """Waits until the server has read its new account."""
    for _ in range(100):
        if client.ask("GET", "/v1/account").status == 200:
            return
        time.sleep(0.1)


def refused(a, status, name):
    assert (a.status, a.problem()) == (status, name), (a.status, a.body)
    return a


def begin(s):
    """One server for the tests that follow."""
    state["alice"], state["bob"] = s.token("alice"), s.token("bob", "--key-mib", "100", "--requests-a-day", "3")
    state["ops"] = s.token("ops", "--operator")
    state["server"] = Server(s, "--queue", "3")
    state["a"], state["b"], state["o"] = (Watched(state["server"], state[k]) for k in ("alice", "bob", "ops"))
    state["nobody"] = Watched(state["server"])
    state["api"] = state["nobody"].ask("GET", "/openapi.json").json()
    state["model"] = state["a"].ask("GET", "/v1/models").json()["models"][0]


def routes(_):
    """Every route of the description is there, and asks for the token that it says."""
    for method, path, _, _ in patterns(state["api"]):
        real = path.replace("{model}", "0" * 16).replace("{key}", ID).replace("{job}", ID)
        bare = "security" not in state["api"]["paths"][path][method.lower()]
        if bare:
            assert state["nobody"].ask(method, real).status == 200, path
            continue
        a = refused(state["nobody"].ask(method, real), 401, "no-token")
        assert a.headers["WWW-Authenticate"] == "Bearer"
        refused(Watched(state["server"], state["alice"][:-1] + ("E" if state["alice"][-1] == "A" else "A")).ask(method, real), 401, "no-token")
        operator = path in ("/metrics", "/v1/status")
        refused(state["a" if operator else "o"].ask(method, real), 403, "forbidden")
        if "{" in path and not path.endswith("classify") and method != "PATCH":
            assert "no such path" not in refused(state["a"].ask(method, real), 404, "not-found").json()["detail"]
    a = refused(state["nobody"].ask("PUT", "/v1/keys"), 405, "no-method")
    assert a.headers["Allow"] == "GET, HEAD, POST"
    for path in ("/v1", "/v1/keys/", "/v1/keys/../keys", "/%2e%2e/etc/passwd", "/v1/keys/" + ID.upper() + "A", "//"):
        refused(state["a"].ask("GET", path), 404, "not-found")
    assert state["nobody"].ask("HEAD", "/healthz").body == b""


def browse(s):
    """In headless Chromium, where it is: a wrong token, the right one, dark and narrow; nothing asked of others."""
    sys.path.insert(0, "tests/remote")
    import webdriver
    if webdriver.missing():
        return
    here = f"http://127.0.0.1:{state['server'].port}/"
    b = webdriver.Browser(s.path("browser"))
    try:
        b.requested()
        b.go(here)
        b.type("wrong\n")
        assert b.wait("document.querySelector('#why').textContent.includes('token')")
        b.type(state["ops"] + "\n")
        assert b.wait("!document.querySelector('#all').hidden && document.querySelector('#models td')")
        assert b.text("#state") == "ready" and "NO SECURITY" in b.text("#about") and "no-token" in b.text("#refused")
        for width, zoom in ((1100, 1), (360, 1), (1100, 2)):
            b.look(width, 800, True, zoom)
            assert b.script("return document.documentElement.scrollWidth <= innerWidth"), (width, zoom)
        asked = {u for u in b.requested() if not u.startswith(("chrome", "data:"))}
        assert asked and all(u.startswith(here) for u in asked), asked
        assert not [e for e in b.log("browser") if "401" not in e["message"]]
    finally:
        b.close()


def page(s):
    """The operator's page asks nobody else for anything."""
    html, css, js = (state["nobody"].ask("GET", p).body.decode() for p in ("/", "/app.css", "/app.js"))
    assert html.startswith("<!doctype html>") and "prefers-color-scheme: dark" in css and "/v1/status" in js
    for text in (html, css, js):
        assert not re.search(r"https?:|//[a-z]+\.|<script>|style=|\son[a-z]+=|innerHTML|eval\(", text)
    with open("cli/serve/page/operator.js", encoding="utf-8") as f:
        assert f.read() == js
    status = state["o"].ask("GET", "/v1/status").json()
    for name in set(re.findall(r"\bs\.([A-Za-z_]+)", js)) - {"toFixed"}:
        assert name in status, name
    browse(s)
    assert status["parameters"]["security_bits"] == 0 and s.params == status["parameters"]["name"]


def upload(s):
    """Sizes, blocks and offsets of an upload; cut off, gone on with, not another's."""
    a, b, m = state["a"], state["b"], state["model"]
    file = s.path("server-a/eval.key")
    with open(file, "rb") as f:
        data = f.read()
    assert len(data) == m["buckets"][0]["key_bytes"]
    refused(a.classify(m["id"], s.requests[0]), 409, "no-keys")
    body = {"model": m["id"], "tokens": 32, "parameters": "toy12", "id": data[32:48].hex(), "bytes": len(data), "blocks": []}

    def declare(who=a, **other):
        return who.ask("POST", "/v1/keys", json.dumps({**body, **other}), Content_Type="application/json")
    for other, status, name in (({"bytes": 10 << 30}, 413, "too-long"), ({"bytes": len(data) - 1}, 413, "too-long"),
                                ({"bytes": -1}, 413, "too-long"), ({"model": "0" * 16}, 404, "not-found"),
                                ({"tokens": 64}, 422, "bad-keys"), ({"parameters": "n16"}, 422, "bad-keys"),
                                ({"id": "../" + ID[3:]}, 422, "bad-json"), ({}, 422, "bad-json")):
        refused(declare(**other), status, name)
    refused(a.ask("POST", "/v1/keys", "{", Content_Type="application/json"), 400, "bad-json")
    refused(a.ask("POST", "/v1/keys", "{}", Content_Type="text/plain"), 415, "media-type")
    assert not os.listdir(s.path("store/keys")) and not os.listdir(s.path("store/tmp")), "something was stored"
    body["blocks"] = [xxh3(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)]
    refused(declare(b), 403, "quota-key-bytes")
    r = declare()
    where = r.headers["Location"]
    assert r.status == 201 and r.headers["Upload-Offset"] == "0" and r.json()["state"] == "uploading"
    assert declare().status == 200
    refused(declare(blocks=[ID] * len(body["blocks"])), 409, "differs")
    # a bad block is known when its last byte came, and what was good before it stays
    bad = bytearray(data[:3 * BLOCK])
    bad[2 * BLOCK + 5] ^= 1
    r = refused(a.append(where, bytes(bad), 0), 422, "bad-block")
    assert r.json()["block"] == 2 and r.headers["Upload-Offset"] == str(2 * BLOCK)
    # a connection that breaks within a block
    c = socket.create_connection(("127.0.0.1", state["server"].port))
    c.sendall((f"PATCH {where} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {state['alice']}\r\nContent-Length: "
               f"{len(data) - 2 * BLOCK}\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: {2 * BLOCK}\r\n"
               "\r\n").encode() + data[2 * BLOCK:3 * BLOCK + 99])
    for _ in range(100):
        r = a.append(where, data[:9], 0)
        if r.problem() == "busy":
            break
        time.sleep(0.05)
    refused(r, 409, "busy")
    time.sleep(0.2)
    c.close()
    for _ in range(100):
        r = a.ask("HEAD", where)
        if r.headers["Upload-Offset"] == str(3 * BLOCK):
            break
        time.sleep(0.05)
    assert r.headers["Upload-Offset"] == str(3 * BLOCK) and r.headers["Upload-Length"] == str(len(data))
    r = refused(a.append(where, data[:99], 0), 409, "offset")
    assert r.headers["Upload-Offset"] == str(3 * BLOCK)
    append = {"Content_Type": "application/offset+octet-stream", "Upload_Offset": str(3 * BLOCK)}
    for length in (len(data) - 3 * BLOCK + 1, 10 << 30):
        refused(claim(state["server"], state["alice"], "PATCH", where, length, **append), 413, "too-long")
    assert a.ask("HEAD", where).headers["Upload-Offset"] == str(3 * BLOCK)
    refused(a.ask("PATCH", where, b"x", Content_Type="application/offset+octet-stream"), 400, "malformed")
    unknown = b.ask("GET", "/v1/keys/" + ID)
    for method in ("GET", "DELETE"):
        assert b.ask(method, where).body == unknown.body, "another's keys are seen"
    assert refused(b.append(where, data[3 * BLOCK:4 * BLOCK], 3 * BLOCK), 404, "not-found").body == unknown.body
    assert b.ask("GET", "/v1/keys").json()["keys"] == []
    r = a.append(where, data[3 * BLOCK:], 3 * BLOCK)
    assert r.status == 204 and r.headers["Upload-Complete"] == "?1", r.body
    assert a.ask("GET", where).json()["state"] == "ready" and len(a.ask("GET", "/v1/keys").json()["keys"]) == 1
    with open(s.path(f"store/keys/{os.path.basename(where)}/eval.key"), "rb") as f:
        assert f.read() == data
    assert declare().json()["state"] == "ready"
    state["keys"] = where


def forged_keys(s):
    """Bytes of the right number and hashes that are no keys of that pair."""
    a, m = state["a"], state["model"]
    with open(s.path("server-a/eval.key"), "rb") as f:
        data = f.read()
    for i, wrong in enumerate((b"\0" * len(data), data)):
        body = {"model": m["id"], "tokens": 32, "parameters": "toy12", "id": f"{i:032x}", "bytes": len(data),
                "blocks": [xxh3(wrong[k:k + BLOCK]) for k in range(0, len(data), BLOCK)]}
        r = a.ask("POST", "/v1/keys", json.dumps(body), Content_Type="application/json")
        refused(a.append(r.headers["Location"], wrong, 0), 422, "bad-keys")
        refused(a.ask("GET", r.headers["Location"]), 404, "not-found")


def classify(s):
    """A job from its request to its answer: watched, waited for, bound, repeated, another's."""
    a, b, m = state["a"], state["b"], state["model"]
    good = s.requests[0]
    assert len(good) == m["buckets"][0]["request_bytes"]
    for bad in (b"", b"x" * 99, good[:-1], good[:100] + b"\1" + good[101:], good[:32] + b"\0" * 16 + good[48:]):
        r = a.classify(m["id"], bad)
        assert r.status in (409, 422) and r.problem() in ("bad-request-file", "no-keys"), r.body
        assert s.dir not in r.body.decode(), "a path of the server is shown"
    refused(a.classify(m["id"], good + b"x"), 413, "too-long")
    octets = {"Content_Type": "application/octet-stream", "Expect": "100-continue"}
    refused(claim(state["server"], state["alice"], "POST", f"/v1/models/{m['id']}/classify", 10 << 30, **octets), 413,
            "too-long")
    refused(a.classify("0" * 16, good), 404, "not-found")
    refused(a.ask("POST", f"/v1/models/{m['id']}/classify", good), 415, "media-type")
    refused(a.classify(m["id"], good, Idempotency_Key="a/../b...."), 400, "malformed")
    r = a.classify(m["id"], good[:999] + bytes([good[999] ^ 1]) + good[1000:], Prefer="wait")
    assert "damaged" in refused(r, 422, "failed").json()["detail"] and s.dir not in r.body.decode()
    refused(a.ask("GET", r.headers["Location"] + "/answer"), 422, "failed")
    assert a.ask("GET", r.headers["Location"]).json()["problem"]["status"] == 422
    r = a.classify(m["id"], good, Idempotency_Key="first-one")
    where, job = r.headers["Location"], r.json()
    assert r.status == 202 and job["request"] == xxh3(good) and int(r.headers["Retry-After"]) > 0
    r = a.ask("GET", where + "/answer")
    assert r.status == 200 or refused(r, 409, "not-done").headers["Retry-After"]
    assert a.classify(m["id"], good, Idempotency_Key="first-one").headers["Location"] == where
    refused(a.classify(m["id"], s.requests[1], Idempotency_Key="first-one"), 422, "idempotency")
    events = a.ask("GET", where + "/events").body.decode()
    kinds = re.findall(r"^event: (\w+)$", events, re.M)
    told = [json.loads(x) for x in re.findall(r"^data: (.*)$", events, re.M)]
    assert kinds[0] == "state" and kinds[-1] == "end" and kinds.count("stage") > 3, kinds
    assert [x["done"] for x in told if "done" in x] == sorted(x["done"] for x in told if "done" in x)
    assert told[-1]["state"] == "done" and told[-1]["bytes"] == m["buckets"][0]["answer_bytes"]
    r = a.ask("GET", where + "/answer")
    assert r.headers["Thor-Request"] == xxh3(good) and len(r.body) == told[-1]["bytes"]
    assert s.decrypt("a", r.body, 0) == s.plain[0]
    again = a.classify(m["id"], good, Idempotency_Key="first-one", Prefer="wait=20")
    assert again.status == 200 and again.body == r.body and again.headers["Preference-Applied"] == "wait"
    waited = a.classify(m["id"], s.requests[1], Prefer="wait")
    assert waited.status == 200 and s.decrypt("a", waited.body, 1) == s.plain[1]
    try:
        s.decrypt("a", r.body, 1)
        raise SystemError("a swapped answer was decrypted")
    except AssertionError:
        pass
    unknown = b.ask("GET", "/v1/jobs/" + ID)
    for method, path in (("GET", where), ("DELETE", where), ("GET", where + "/answer"), ("GET", where + "/events")):
        assert b.ask(method, path).body == unknown.body, "another's job is seen"
    assert b.ask("GET", "/v1/jobs").json()["jobs"] == []
    assert {os.path.basename(where)} < {j["job"] for j in a.ask("GET", "/v1/jobs").json()["jobs"]}
    assert a.ask("DELETE", where).status == 204
    for path in (where, where + "/answer", where + "/events"):
        refused(a.ask("GET", path), 410, "gone")
    refused(a.classify(m["id"], good, Idempotency_Key="first-one"), 410, "gone")


def queue(s):
    """A queue that is full for one account, turns, positions, cancelling what waits and what runs."""
    a, b, m = state["a"], Watched(state["server"], s.token("carol")), state["model"]
    known(b)
    b.upload(s, "a")
    jobs = [a.classify(m["id"], s.requests[i % 4]) for i in range(5)]
    full = [r for r in jobs if r.status == 429]
    jobs = [r.headers["Location"] for r in jobs if r.status == 202]
    assert 3 <= len(jobs) <= 4 and full and all(int(refused(r, 429, "queue-full").headers["Retry-After"]) > 0 for r in full)
    assert a.ask("GET", jobs[-1]).json()["position"] >= 1
    later = b.classify(m["id"], s.requests[0])  # whose account holds none of the places has one, before the last of alice
    assert later.status == 202, later.body
    ahead = b.ask("GET", later.headers["Location"]).json()["position"], a.ask("GET", jobs[-1]).json()["position"]
    assert ahead[0] < ahead[1], ahead
    assert b.ask("DELETE", later.headers["Location"]).status == 204
    assert a.ask("DELETE", jobs[-1]).status == 204
    for _ in range(200):  # the first of them runs
        if a.ask("GET", jobs[0]).json()["state"] != "queued":
            break
        time.sleep(0.02)
    assert a.ask("DELETE", jobs[0]).status == 204
    refused(a.ask("GET", jobs[0]), 410, "gone")
    r = a.ask("GET", jobs[1] + "/events")
    assert '"state":"done"' in r.body.decode().split("event: end")[1]
    a.ask("GET", jobs[2] + "/events")
    counts = state["o"].ask("GET", "/v1/status").json()["queue"]
    assert counts["waiting"] == 0 and counts["canceled"] >= 1, counts
    assert sorted(os.listdir(s.path("store/jobs"))) == sorted(x["job"] for x in a.ask("GET", "/v1/jobs").json()["jobs"])


def tokens(s):
    """Tokens come and go while the server runs; the file has hashes; quotas."""
    a = state["a"]
    with open(s.path("tokens.json"), encoding="ascii") as f:
        text = f.read()
    assert state["alice"] not in text and oct(os.stat(s.path("tokens.json")).st_mode & 0o777) == "0o600"
    eve = s.token("eve", "--requests-a-day", "1")
    e = Watched(state["server"], eve)
    known(e)
    account = e.ask("GET", "/v1/account").json()
    assert account == {"name": "eve", "kind": "user", "requests_today": 0, "requests_a_day": 1, "key_bytes": 0,
                       "key_bytes_most": 0}
    e.upload(s, "a")  # the same pair of another account: keys of its own
    assert len(a.ask("GET", "/v1/keys").json()["keys"]) == 1
    first = e.classify(state["model"]["id"], s.requests[2])
    r = refused(e.classify(state["model"]["id"], s.requests[2]), 429, "quota-requests")
    assert 0 < int(r.headers["Retry-After"]) <= 86400 and first.status == 202
    # keys that go take what waits for them along
    key = e.ask("GET", "/v1/keys").json()["keys"][0]["key"]
    assert e.ask("DELETE", "/v1/keys/" + key).status == 204
    refused(e.ask("GET", "/v1/keys/" + key), 410, "gone")
    e.ask("GET", first.headers["Location"] + "/events")
    r = e.ask("GET", first.headers["Location"] + "/answer")
    assert r.status == 200 or refused(r, 410, "keys-gone")
    p = subprocess.run([s.thor, "serve", "token", "--name", "eve", "--tokens", s.path("tokens.json")],
                       capture_output=True, check=False)
    assert p.returncode == 2 and b"--replace" in p.stderr
    several = [subprocess.Popen([s.thor, "serve", "token", "--name", f"t{i}", "--tokens", s.path("tokens.json")],
                                stdout=subprocess.DEVNULL) for i in range(8)]
    assert not any(p.wait() for p in several)
    with open(s.path("tokens.json"), encoding="ascii") as f:
        assert {f"t{i}" for i in range(8)} <= {o["name"] for o in json.load(f)["accounts"]}
    # as if within the second in which the token was made
    made = os.stat(s.path("tokens.json")).st_mtime
    s.run("serve", "token", "--name", "eve", "--tokens", s.path("tokens.json"), "--remove")
    os.utime(s.path("tokens.json"), (made, made))
    for _ in range(100):
        if e.ask("GET", "/v1/account").status == 401:
            break
        time.sleep(0.1)
    refused(e.ask("GET", "/v1/account"), 401, "no-token")


def metrics(_):
    """What is counted, and that no label tells of a token, ticket or size."""
    text = state["o"].ask("GET", "/metrics").body.decode()
    for line in text.splitlines():
        assert re.fullmatch(r'(# (HELP|TYPE) \w+ .*)|(\w+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+)', line), line
    assert re.search(r'thor_requests_total\{route="/v1/models/\{model\}/classify",status="202"\} [1-9]', text)
    assert re.search(r'thor_refused_total\{reason="queue-full"\} [1-9]', text)
    assert 'thor_stage_seconds_bucket{stage="gelu",le="+Inf"}' in text and "thor_" + "sentence_seconds_count" in text
    for secret in ("alice", "bob", state["keys"][-32:], "thor_" + state["alice"][5:9]):
        assert secret not in text
    log = state["server"].lines()
    assert all(json.loads(line)["event"] for line in log.splitlines() if line.startswith("{"))
    assert state["alice"][5:] not in log and "Bearer" not in log


def documented(_):
    """Every status that was seen is in /openapi.json."""
    table = patterns(state["api"])
    for method, path, status in seen:
        for m, _, pattern, statuses in table:
            if m == method and pattern.match(path):
                assert str(status) in statuses, (method, path, status)


def drain(s):
    """SIGTERM: the sentence that runs is finished, what waits is for the next server, work is refused."""
    a, m, v = state["a"], state["model"], state["server"]
    jobs = [a.classify(m["id"], s.requests[i], Idempotency_Key=f"drained{i}").headers["Location"] for i in range(2)]
    ended = []
    t = threading.Thread(target=lambda: ended.append(v.stop()))
    t.start()
    time.sleep(0.3)
    try:
        r = a.classify(m["id"], s.requests[2])
        assert int(refused(r, 503, "draining").headers["Retry-After"]) > 0
        refused(a.ask("GET", "/readyz"), 503, "draining")
    except (OSError, http.client.HTTPException):
        pass  # it was quicker
    t.join()
    assert ended == [0] and not os.listdir(s.path("store/servers")) and '"event":"ended"' in v.lines()
    state["server"] = v = Server(s, "--queue", "3")
    a = state["a"] = Watched(v, state["alice"])
    for i, job in enumerate(jobs):
        a.ask("GET", job + "/events")
        assert s.decrypt("a", a.ask("GET", job + "/answer").body, i) == s.plain[i]


def two_servers(s):
    """Two on one folder: either tells of a job; when one is killed the other runs what it had."""
    first, m = state["server"], state["model"]
    second = Server(s, program=s.thor)
    a, b = Watched(first, state["alice"]), Watched(second, state["alice"])
    jobs = [a.classify(m["id"], s.requests[i], Idempotency_Key=f"shared-{i}").headers["Location"] for i in range(2)]
    r = b.classify(m["id"], s.requests[0], Idempotency_Key="shared-0")
    assert r.status == 202 and r.headers["Location"] == jobs[0], r.body
    states = {b.ask("GET", j).json()["state"] for j in jobs}
    assert states <= {"queued", "running", "done"}, states
    first.kill()
    for i, job in enumerate(jobs):
        b.ask("GET", job + "/events")
        r = b.ask("GET", job + "/answer")
        assert r.status == 200 and s.decrypt("a", r.body, i) == s.plain[i], r.body
    assert {j["job"] for j in b.ask("GET", "/v1/jobs").json()["jobs"]} <= set(os.listdir(s.path("store/jobs")))
    # a job of the other is cancelled over the folder
    third = Server(s)
    c = Watched(third, state["alice"])
    job = b.classify(m["id"], s.requests[3]).headers["Location"]
    assert c.ask("DELETE", job).status == 204
    refused(b.ask("GET", job), 410, "gone")
    for _ in range(300):  # a server that is stopped before it took the job leaves that to the next
        if not os.path.exists(s.path("store/jobs/" + os.path.basename(job))):
            break
        time.sleep(0.1)
    assert second.stop() == 0 and third.stop() == 0
    assert not os.path.exists(s.path("store/jobs/" + os.path.basename(job)))
    assert os.listdir(s.path("store/tmp")) == [] or not any("answer" in f for _, _, f in os.walk(s.path("store/tmp")))


def group(s):
    """Sentences of one client in lock step, answers kept for a second."""
    for kind, name in (("servers", "note.txt"), ("gone", "note.txt"), ("servers", "0" * 32), ("gone", "1" * 32)):
        with open(s.path(f"store/{kind}/{name}"), "w", encoding="ascii"):
            os.utime(s.path(f"store/{kind}/{name}"), (1, 1))
    v = Server(s, "--group", "4", "--keep", "2")
    a, m = Client(v, state["alice"]), state["model"]
    jobs = [a.classify(m["id"], s.requests[i]).headers["Location"] for i in range(4)]
    for i, job in enumerate(jobs):
        a.ask("GET", job + "/events")
        r = a.ask("GET", job + "/answer")
        assert r.status == 200 and s.decrypt("a", r.body, i) == s.plain[i], r.body
        a.ask("DELETE", job) if i else None
    for _ in range(150):
        r = a.ask("GET", jobs[0])
        if r.status == 410:
            break
        time.sleep(0.1)
    refused(r, 410, "gone")
    for kind, old in (("servers", "0"), ("gone", "1")):  # what is not the server's own stays
        assert "note.txt" in os.listdir(s.path("store/" + kind)) and old * 32 not in os.listdir(s.path("store/" + kind))
        os.unlink(s.path(f"store/{kind}/note.txt"))
    v.stop()


def command_line(s):
    """What is refused before anything listens."""
    base = [s.eval, "serve", "--model", s.path("w"), "--listen", "127.0.0.1:0", "--store", s.path("other")]
    t = ["--tokens", s.path("tokens.json")]
    for more, code, word in (([], 2, "--tokens is missing"), (["--tokens", s.path("none")], 6, "cannot read"),
                             (t + ["--insecure-test-params", "n16"], 2, "toy"), (t + ["--tls-cert", "x"], 2, "go together"),
                             (t + ["--listen", "nowhere"], 2, "ADDRESS:PORT"), (t + ["--listen", "127.0.0.1:"], 2, "in numbers"),
                             (t + ["--listen", "127.0.0.1:99999"], 2, "in numbers"), (t + ["--model", s.path("w"), *s.toy], 2, "another"),
                             (t + ["--device", "cuda:99", *s.toy], 2, "CUDA")):
        p = subprocess.run(base + more, capture_output=True, timeout=60, check=False)
        assert p.returncode == code and word in p.stderr.decode().splitlines()[-1], (more, p.returncode, p.stderr)
    v = Server(s)  # a port is one server's
    p = subprocess.run(base + t + s.toy + ["--listen", f"127.0.0.1:{v.port}"], capture_output=True, timeout=60, check=False)
    assert p.returncode == 6 and b"is another server there" in p.stderr, p.stderr
    v.stop()
    os.chmod(s.path("tokens.json"), 0o644)
    p = subprocess.run(base + t + s.toy, capture_output=True, timeout=60, check=False)
    os.chmod(s.path("tokens.json"), 0o600)
    assert p.returncode in (5, 6), p.stderr


def tls(s):
    """TLS by the server itself, where openssl is there to make a certificate."""
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                           "-keyout", s.path("k.pem"), "-out", s.path("c.pem")], capture_output=True, check=False)
    if made.returncode:
        return
    v = Server(s, "--tls-cert", s.path("c.pem"), "--tls-key", s.path("k.pem"))
    import ssl
    context = ssl.create_default_context(cafile=s.path("c.pem"))
    context.check_hostname = False
    c = http.client.HTTPSConnection("127.0.0.1", v.port, context=context)
    c.request("GET", "/v1/models", headers={"Authorization": "Bearer " + state["alice"]})
    r = c.getresponse()
    assert Answer(r.status, r.headers, r.read()).json()["models"]
    c.close()
    assert v.stop() == 0


def end(_):
    for k in ("server",):
        if state[k].p.poll() is None:
            assert state[k].stop() == 0


if __name__ == "__main__":
    most = [queue, tokens, metrics, drain, two_servers, group, command_line, tls] if FULL else []
    sys.exit(run([begin, routes, page, upload, forged_keys, classify, *most, documented, end], os.path.abspath(sys.argv[1])))
