"""`thor remote` against a stub with faults (stub.py): remote.py BUILD.  Prints the counts in the form of the other tests."""
import http.server
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import types
import urllib.error
import urllib.request

import tuning
import webdriver
from stub import Stub

build = os.path.realpath(sys.argv[1])
thor, thor_eval = os.path.join(build, "thor"), os.path.join(build, "thor-eval")
os.chdir(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
toy = ["--insecure-test-params", "toy11"]
CONFIG = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": 48, "num_hidden_layers": 1,
          "num_attention_heads": 3, "intermediate_size": 80, "vocab_size": 500, "type_vocab_size": 2,
          "max_position_embeddings": 64, "layer_norm_eps": 1e-12}
passed, failed = 0, 0


def run(*args, stdin="", **env):
    r = subprocess.run([thor, *args], input=stdin, capture_output=True, text=True, timeout=120,
                       env=dict(os.environ, **env))
    return r.returncode, r.stdout, r.stderr


def check(good, what, *shown):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {what}")
        for s in shown:
            print("    " + str(s).strip().replace("\n", "\n    ")[-1500:])


def works(what, *args, **more):
    code, out, err = run(*args, **more)
    check(code == 0, f"exit {code}: {what}", out, err)
    return out


def refused(want, pattern, what, *args, **more):
    """That exit code, nothing on stdout, and one line of ours that has the pattern."""
    code, out, err = run(*args, **more)
    lines = [l for l in err.splitlines() if l.startswith("thor")]
    check(code == want and not out and len(lines) == 1 and re.search(pattern, lines[0]),
          f"exit {code}, not {want} ({pattern}): {what}", out, err)
    return err


class Bench:
    """A tiny model, its keys, two texts and what the plain way (encrypt, eval, decrypt) says of them."""

    def __init__(self, tmp):
        self.tmp = tmp
        self.model, self.weights, self.keys = (os.path.join(tmp, n) for n in ("m", "w", "keys"))
        with open(os.path.join(tmp, "tiny.json"), "w", encoding="utf-8") as f:
            json.dump(CONFIG, f)
        works("synth", "synth", "--config", os.path.join(tmp, "tiny.json"), "--out", self.model)
        works("encode", "encode", "--model", self.model, "--calibrate", os.path.join(self.model, "texts.tsv"),
              "--tokens", "32", "--out", self.weights)
        works("keygen", "keygen", "--out", self.keys, "--weights", self.weights, *toy)
        with open(os.path.join(self.model, "vocab.txt"), encoding="utf-8") as f:
            words = f.read().split()[5:30]
        self.texts = [" ".join(words[1:4]), " ".join(words[:14])]
        self.table = os.path.join(tmp, "t.tsv")
        with open(self.table, "w", encoding="utf-8") as f:
            f.write("label\ttext\n" + "".join(f"1\t{t}\n" for t in self.texts * 5))
        self.eval_args = ["--keys", self.keys, "--weights", self.weights, *toy]
        self.plain()

    def plain(self):
        up, down = os.path.join(self.tmp, "up"), os.path.join(self.tmp, "down")
        works("encrypt", "encrypt", "--data", self.table, "--index", "0..1", "--keys", self.keys, "--model", self.model,
              "--out", up, *toy)
        subprocess.run([thor_eval, "--in", up, "--out", down, *self.eval_args], check=True, capture_output=True)
        out = works("decrypt", "decrypt", "--in", down, "--keys", self.keys, "--model", self.model, "--json", *toy)
        self.want = [(o["label"], o["score"]) for o in map(json.loads, out.splitlines())]
        self.answer = os.path.join(down, "1.ct")
        with open(os.path.join(up, "0.ct"), "rb") as f:
            model = struct.unpack("<Q", f.read()[64 + 32 + 8:64 + 32 + 16])[0]
        self.setup = {"thor_eval": thor_eval, "eval_args": self.eval_args, "work": self.tmp, "params": "toy11",
                      "tokens": 32, "model": f"{model:016x}",
                      "key_bytes": os.path.getsize(os.path.join(self.keys, "eval.key")),
                      "request_bytes": os.path.getsize(os.path.join(up, "0.ct")),
                      "answer_bytes": os.path.getsize(self.answer)}


def login(b, s, name):
    """The path of a login with this stub."""
    path = os.path.join(b.tmp, name + ".json")
    out = works("login", "remote", "login", s.url, "--login", path, stdin=s.token + "\n")
    check("alice" in out and s.token not in out, "login says who, not the token", out)
    return path


def classify(b, at, *more):
    return ["remote", "classify", "--login", at, "--keys", b.keys, "--model", b.model, *toy, *more]


def test_help():
    for action in "login", "upload", "classify", "status", "drop", "web":
        out = works("help of " + action, "remote", action, "--help")
        check("Examples" in out and "Exit codes" in out, action + " --help", out)
    refused(2, "no action", "no action", "remote")
    refused(2, "unknown action", "another action", "remote", "delete")


def test_login(b, s):
    at = login(b, s, "login")
    check(os.stat(at).st_mode & 0o777 == 0o600, "mode of the login")
    refused(6, f"no TLS is spoken there.* http://{s.url[7:]}$", "https:// to a server without a certificate", "remote",
            "login", s.url.replace("http:", "https:"), "--login", at, stdin=s.token)
    home = os.path.join(b.tmp, "home")
    works("login below XDG_CONFIG_HOME", "remote", "login", s.url, stdin=s.token, XDG_CONFIG_HOME=home)
    check(os.stat(home + "/thor/remote.json").st_mode & 0o777 == 0o600, "mode of the login at home")
    works("status from there", "remote", "status", XDG_CONFIG_HOME=home)
    no = os.path.join(b.tmp, "no.json")
    refused(5, "token is refused.*no such token", "bad token", "remote", "login", s.url, "--login", no,
            stdin="thor_wrong\n")
    refused(3, "characters that no token has", "token of two words", "remote", "login", s.url, "--login", no,
            stdin="thor x\n")
    refused(3, "empty", "no token", "remote", "login", s.url, "--login", no, stdin="\n")
    for url in ("http://192.0.2.1:80", "http://127.0.0.1.example.org", "http://127.example.org", "http://[::2]:80"):
        refused(2, "not encrypted", "plain HTTP to elsewhere", "remote", "login", url, "--login", no, stdin="t")
    for url in ("127.0.0.1:1", "ftp://127.0.0.1", "http://a@127.0.0.1", "http://127.0.0.1/x", "http://127.0.0.1/?x", ""):
        refused(2, "no address", url, "remote", "login", url, "--login", no, stdin="t")
    refused(6, "no server answers", "nobody there", "remote", "login", "http://127.0.0.1:1", "--login", no, stdin="t")
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    web.RequestHandlerClass.log_message = lambda *_: None
    threading.Thread(target=web.serve_forever, daemon=True).start()
    refused(6, r"is none of thor serve .HTTP 404.*; check the address", "a web server", "remote", "login",
            f"http://127.0.0.1:{web.server_port}", "--login", no, stdin="t")
    web.shutdown()
    check(not os.path.exists(no), "a login that failed is not kept")
    refused(2, "thor remote login", "no login", "remote", "status", "--login", no)
    os.chmod(at, 0o644)
    refused(5, "chmod 600", "a login that others can read", "remote", "status", "--login", at)
    os.chmod(at, 0o600)
    with open(no, "w", encoding="utf-8") as f:
        f.write('{"format": "thor-remote-1", "url": "http://127.0.0.1/../x"}')
    os.chmod(no, 0o600)
    refused(5, "damaged", "a damaged login", "remote", "status", "--login", no)
    os.unlink(no)
    return at


def test_upload(b, s, at):
    up = ["remote", "upload", "--login", at, "--keys", b.keys]
    refused(5, "thor remote upload", "classify without keys", *classify(b, at, "--text", b.texts[0]))
    s.faults = {"cut": [3 * s.block, None, 6 * s.block + 7], "damage": [None] * 4 + [1]}
    out = json.loads(works("upload, cut twice and a bad block", *up, "--json"))
    with open(os.path.join(b.keys, "eval.key"), "rb") as f:
        check([bytes(k["data"]) for k in s.keys.values()] == [f.read()], "what the server has is eval.key")
    patches = [l for l in s.log if l[1] == "PATCH"]
    places = [int(l[3]["Upload-Offset"]) for l in patches]
    check(places[-1] == 7 * s.block and sorted(places) == places, "it went on where it was", places)
    check(out["bytes"] == out["sent"] == b.setup["key_bytes"] and out["peak_rss_mib"] < 64, "upload --json", out)
    check("nothing" in works("again", *up), "a whole upload is not repeated")
    s.keys.clear()
    s.faults = {"upload-busy": [1]}
    began = time.monotonic()
    works("upload to a busy server", *up)
    check(time.monotonic() - began >= 1, "Retry-After of an upload")
    s.keys.clear()
    s.faults = {"damage": True}
    refused(5, "damaged", "blocks that always arrive damaged", *up)
    s.faults = {}
    s.keys.clear()
    kill = subprocess.Popen([thor, *up], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(len(k["data"]) for k in s.keys.values()) and kill.poll() is None:
        time.sleep(0.002)
    kill.kill()
    kill.wait()
    time.sleep(0.2)
    had = sum(len(k["data"]) for k in s.keys.values())
    out = json.loads(works("upload after kill -9", *up, "--json"))
    check(out["sent"] <= out["bytes"] - had, "it goes on after kill -9", had, out)
    for name in ("secret.key", "public.key"):
        other = os.path.join(b.tmp, "other")
        shutil.rmtree(other, ignore_errors=True)
        os.mkdir(other)
        shutil.copy(os.path.join(b.keys, name), os.path.join(other, "eval.key"))
        refused(5, "not evaluation keys", name, "remote", "upload", "--login", at, "--keys", other)
    refused(5, "serves no model called x", "no such model", *up, "--on", "x")


def verdicts(out):
    return [(o["label"], o["score"]) for o in map(json.loads, out.splitlines())]


def test_classify(b, s, at):
    out = works("classify", *classify(b, at, "--text", b.texts[0]))
    check(out == f"text 0  {b.want[0][0]}, score {b.want[0][1]:.2f}\n", "the label of decrypt", out, b.want)
    out = works("classify --data", *classify(b, at, "--data", b.table, "--index", "0..1", "--json", "--top", "2"))
    check(verdicts(out) == b.want and len(json.loads(out.splitlines()[0])["labels"]) == 2, "two rows", out, b.want)
    check(not s.jobs, "jobs are dropped when they are done", s.jobs)
    check("logits" not in out, "what is printed is rounded", out)
    s.faults = {"busy": [(429, 1), (503, 1), (503, None)], "cut-reply": [1], "cut-events": [1, 1], "cut-answer": [1]}
    began, jobs = time.monotonic(), len(s.repeats)
    s.log.clear()
    out = works("a busy server and broken connections", *classify(b, at, "--text", b.texts[1], "--json"))
    check(verdicts(out) == b.want[1:], "the label after them", out)
    check(len(s.repeats) == jobs + 1, "one job for all of its repeats")
    sizes = {int(l[3]["Content-Length"]) for l in s.log if l[1] == "POST"}
    check(sizes == {b.setup["request_bytes"]}, "every request has the size of its bucket", sizes)
    posts = [l[0] for l in s.log if l[1] == "POST"]
    check(len(posts) == 5 and posts[1] - posts[0] >= 1 and posts[2] - posts[1] >= 1, "Retry-After", posts)
    s.faults = {"busy": [(429, 100)]}
    refused(6, "busy .HTTP 429., to be asked again in 100 s", "no patience",
            *classify(b, at, "--text", b.texts[0], "--wait", "5", "--json"))
    s.faults = {"lost": [1]}
    out = works("a lost job is sent again", *classify(b, at, "--text", b.texts[0], "--json"))
    check(verdicts(out) == b.want[:1], "its label", out)
    s.faults = {"redirect": [1]}
    refused(6, "HTTP 307", "a redirect", *classify(b, at, "--text", b.texts[0], "--json"))
    for place in "http://127.0.0.1:1", "//127.0.0.1:1", "/..", "https://" + s.url.split("/")[2]:
        s.faults = {"elsewhere": [place]}
        refused(6, "names no job", "a job at " + place, *classify(b, at, "--text", b.texts[0], "--json"))
    check(not s.jobs, "jobs that were named wrongly are taken back", s.jobs)
    s.faults = {"failed": [1]}
    refused(5, "no such luck", "a failed job", *classify(b, at, "--text", b.texts[0], "--json"))
    s.faults = {}
    client = subprocess.Popen([thor, *classify(b, at, "--text", b.texts[0])], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    while not s.jobs and client.poll() is None:
        time.sleep(0.01)
    client.send_signal(signal.SIGINT)
    check(client.wait(30) == 9 and not client.stdout.read() and not s.jobs, "Ctrl-C takes the job back", s.jobs)
    client.stdout.close()
    token, s.token = s.token, "thor_other"
    refused(5, "token is refused.*thor remote login", "a token that is none any more",
            *classify(b, at, "--data", b.table, "--json"))
    s.token = token
    refused(3, "a bucket of 32", "a long text", *classify(b, at, "--text", " ".join(b.texts * 3)))
    check(not [d for d in os.listdir(b.tmp) if d.startswith("thor-")], "no folder is left", os.listdir(b.tmp))
    dropped = works("drop", "remote", "drop", "--login", at, "--keys", b.keys)
    check(dropped.count("dropped") == 1 and not s.keys, "drop", dropped)
    refused(5, "no keys of that pair", "drop again", "remote", "drop", "--login", at, "--keys", b.keys)


def test_wrong_answers(b, s, at):
    with open(b.answer, "rb") as f:
        swapped = f.read()
    one = classify(b, at, "--text", b.texts[0], "--json")
    damage = {"answer": [swapped], "flip": [1], "longer": [1], "shorter": [1], "request": ["0" * 32]}
    lines = {"answer": "answer is to another request", "flip": "checksum", "longer": "bytes, not", "shorter": "bytes, not",
             "request": "answer is to another request"}
    for fault, values in damage.items():
        s.faults = {fault: values} if fault == "flip" else {"answer": [swapped], fault: values}
        refused(5, lines[fault], f"a wrong answer: {fault}", *one)
    check(not s.jobs, "jobs of refused answers are dropped", s.jobs)
    # the answers of two rows swapped, both with the other's Thor-Request put right by the server
    s.faults = {"answer": [swapped]}
    code, out, err = run(*classify(b, at, "--data", b.table, "--index", "0..1", "--json"))
    check(code == 5 and verdicts(out) == b.want[1:] and "refused: row 0" in err, "one row's answer swapped", out, err)
    s.faults = {}


def test_tls(b):
    made = []
    for name, alt in (("good", "IP:127.0.0.1"), ("other", "DNS:example.org")):
        key, cert = (os.path.join(b.tmp, f"{name}.{e}") for e in ("key", "pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=t", "-addext",
                        "subjectAltName=" + alt], check=True, capture_output=True)
        made.append((cert, key))
    at = os.path.join(b.tmp, "tls.json")
    s = Stub(b.setup, cert=made[0])
    works("TLS", "remote", "login", s.url, "--login", at, "--cacert", made[0][0], stdin=s.token)
    works("TLS, the certificate is kept", "remote", "status", "--login", at)
    refused(5, "certificate is not trusted", "unknown authority", "remote", "login", s.url, "--login", at,
            stdin=s.token)
    s.close()
    s = Stub(b.setup, cert=made[1])
    refused(5, "certificate is not trusted.*127.0.0.1", "a certificate of another name", "remote", "login", s.url,
            "--login", at, "--cacert", made[1][0], stdin=s.token)
    s.close()


class Page:
    """`thor remote web` on the stub."""

    def __init__(self, b, at):
        self.program = subprocess.Popen([thor, "remote", "web", "--login", at, "--keys", b.keys, "--model", b.model,
                                         *toy], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.url = self.program.stdout.readline().strip()
        self.origin = "/".join(self.url.split("/")[:3])

    def ask(self, path, body=None, method=None, url=None, **headers):
        """Status, headers and body of the reply."""
        q = urllib.request.Request((url or self.url) + path, data=None if body is None else body.encode(), method=method,
                                   headers={k.replace("_", "-"): v for k, v in headers.items()})
        try:
            with urllib.request.urlopen(q, timeout=60) as r:
                return r.status, r.headers, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read().decode()

    def classify(self, text):
        """The events of one text."""
        code, _, body = self.ask("classify", json.dumps({"text": text}), Origin=self.origin)
        check(code == 202, "a text is taken", code, body)
        _, headers, stream = self.ask(f"events?run={json.loads(body)['run']}")
        check(headers["Content-Type"] == "text/event-stream", "events are a stream", headers)
        return [json.loads(l[6:]) for l in stream.splitlines() if l.startswith("data: ")]

    def close(self):
        self.program.send_signal(signal.SIGINT)
        code = self.program.wait(30)
        check(code == 9, "the end by a signal", code, self.program.stderr.read())


def test_web(b, s, at, p):
    code, headers, body = p.ask("")
    check(code == 200 and "<h1>thor</h1>" in body and headers["Content-Security-Policy"].startswith("default-src 'self'"),
          "the page and its policy", code, headers)
    check(headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer", "headers")
    for name, kind in ("web.css", "text/css"), ("web.js", "text/javascript"), ("tune.js", "text/javascript"), \
            ("icon.svg", "image/svg+xml"):
        code, headers, body = p.ask(name)
        with open("cli/remote/page/" + name, encoding="utf-8") as f:
            check(code == 200 and headers["Content-Type"].startswith(kind) and body == f.read(), name, code, headers)
    secret = p.url.split("/")[3]
    check(re.fullmatch("[0-9a-f]{32}", secret) and p.origin.startswith("http://127.0.0.1:"), "the address", p.url)
    for path in "/", "/web.js", "/" + "0" * 32 + "/", "/" + secret[:-1] + "/", "/" + secret, "/about", f"/{secret}/../":
        code, _, body = p.ask(path, url=p.origin)
        check(code == 404 and secret not in body, "another path: " + path, code, body)
    port = p.origin.split(":")[2]
    for host in "evil.example", "evil.example:" + port, "127.0.0.1", "127.0.0.1:1", "":
        check(p.ask("about", Host=host)[0] in (400, 403), "another Host: " + host)
    check(p.ask("about", Host="localhost:" + port)[0] == 200, "Host localhost")
    text = json.dumps({"text": b.texts[0]})
    for more in {}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": p.origin + "0"}, \
            {"Origin": p.origin, "Sec_Fetch_Site": "cross-site"}, {"Origin": p.origin, "Sec_Fetch_Site": "none"}:
        check(p.ask("classify", text, **more)[0] == 403, f"another Origin: {more}")
        check(p.ask("run", method="DELETE", **more)[0] == 403, f"another Origin: {more}")
    check(p.ask("about", Sec_Fetch_Site="cross-site")[0] == 403, "a page of another site")
    check(p.ask("web.js", Origin="http://evil.example")[0] == 403, "a script of another site")
    check(not s.jobs, "strangers start nothing")
    for body, want in ("", 400), ("[]", 400), ('{"text": 1}', 400), ('{"text": "' + "x" * 200000 + '"}', 413):
        check(p.ask("classify", body, Origin=p.origin)[0] == want, f"a body that is none: {body[:20]}")
    refused(6, "cannot listen there", "a port that is taken", "remote", "web", "--login", at, "--keys", b.keys, "--model",
            b.model, *toy, "--port", port)
    check(p.ask("x")[0] == 404 and p.ask("about", method="PUT", Origin=p.origin)[0] == 405, "no such thing")

    events = p.classify(b.texts[0])
    kinds = [e["step"] for e in events]
    check(kinds[0] == "tokens" and kinds[1] == "encrypt" and kinds[-2:] == ["answer", "end"], "events in order", kinds)
    check((events[-1]["label"], events[-1]["score"]) == b.want[0], "the label of decrypt", events[-1], b.want)
    seen = next(e for e in events if e["step"] == "saw")
    check(seen["bytes"] == b.setup["request_bytes"] and seen["tokens"] == 32 and len(seen["words"]) == 48, "what was seen",
          seen)
    check(b.texts[0] not in json.dumps(events), "no event has the text")
    check(p.classify("")[-1]["step"] == "failed", "an empty text")
    s.faults = {"answer": [open(b.answer, "rb").read()]}
    last = p.classify(b.texts[0])[-1]
    check(last["step"] == "failed" and "another request" in last["error"], "a swapped answer", last)
    s.faults = {"busy": [(429, 60)]}
    code, _, body = p.ask("classify", text, Origin=p.origin)
    check(p.ask("classify", text, Origin=p.origin)[0] == 409, "one text at a time")
    with urllib.request.urlopen(f"{p.url}events?run={json.loads(body)['run']}", timeout=60) as stream:
        seen = next((l for l in stream if b'"wait"' in l), b"")
        check(b"the server is busy" in seen, "a busy server is an event", seen)
        check(p.ask("run", method="DELETE", Origin=p.origin)[0] == 200, "cancel")
        last = stream.read()
    check(b"cancelled" in last, "a cancelled text", last)
    s.faults = {}


def pictures(page, name):
    """THOR_PICTURES=DIR: the page in every look, for people."""
    folder = os.environ.get("THOR_PICTURES")
    for width, height, zoom in (1280, 800, 1), (1280, 800, 2), (360, 740, 1):
        for dark in False, True:
            page.look(width, height, dark, zoom)
            wide = page.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            check(wide <= 0, f"{name}: {wide} pixels beyond {width} at zoom {zoom}")
            if folder:
                page.picture(f"{folder}/{name}-{width}-{zoom}-{'dark' if dark else 'light'}.png")
    page.look(1280, 800, False)


def test_browser(b, s, p):
    page = webdriver.Browser(os.path.join(b.tmp, "profile"))
    page.look(1280, 800, False)
    page.requested()  # of the browser's own first page
    page.go(p.url)
    check(page.wait("document.querySelector('#about').textContent"), "the page comes up")
    pictures(page, "empty")
    page.type(b.texts[1] + "\ue009\ue007")  # Ctrl and Enter: no mouse anywhere
    check(page.wait("document.querySelector('#result .label, #result .failed')"), "a label comes")
    shown = page.text("#result")
    check(shown.startswith(f"{b.want[1][0]}\nscore {b.want[1][1]:.2f}\n"), "the label in the page", shown, b.want)
    check("at most 32 tokens" in page.text("#seen-bucket") and len(page.text("#words").split()) == 48, "what was seen")
    check(page.script("return document.querySelectorAll('#steps .done').length") == 5, "all steps are done")
    pictures(page, "label")
    s.faults = {"failed": [1]}
    page.type("\ue009\ue007")
    check(page.wait("document.querySelector('#result .failed')"), "a failure comes")
    check("no such luck" in page.text("#result"), "the failure in the page", page.text("#result"))
    pictures(page, "failed")
    s.faults = {"busy": [(429, 60)]}
    page.type("\ue009\ue007")
    check(page.wait("document.querySelector('#step-send .what').textContent.includes('busy')"), "a busy server is seen")
    pictures(page, "busy")
    page.type("\ue00c")  # Escape
    check(page.wait("document.querySelector('#result .failed')", 10), "Escape cancels", page.text("#result"))
    s.faults = {}
    timed(tuning.browser, check, b, p, page, pictures)
    asked = page.requested()
    check(len(asked) > 5 and all(u.startswith(p.url) for u in asked), "no request to elsewhere", asked)
    said = [e["message"] for e in page.log("browser")]
    check(not said, "the browser complains of nothing", said)
    page.close()


def serve(b, port=0, *more):
    """The real server and its address, once it is ready."""
    server = subprocess.Popen([thor, "serve", "--model", b.weights, "--store", os.path.join(b.tmp, "store"), "--tokens",
                               os.path.join(b.tmp, "tokens.json"), "--listen", f"127.0.0.1:{port}", *more, *toy],
                              stderr=subprocess.PIPE, text=True)
    address = None
    for line in server.stderr:
        if '"listening"' in line:
            address = json.loads(line)["address"]
        if '"ready"' in line:
            break
    threading.Thread(target=server.stderr.read, daemon=True).start()  # its log goes nowhere
    return server, address


def test_serve(b):
    """README's commands on one machine; then a server that dies while a text is with it."""
    token, at = os.path.join(b.tmp, "token"), os.path.join(b.tmp, "served.json")
    with open(token, "w", encoding="utf-8") as f:
        f.write(works("token", "serve", "token", "--name", "alice", "--tokens", os.path.join(b.tmp, "tokens.json")))
    server, address = serve(b, 0, "--split", b.model)
    works("login to the server", "remote", "login", "http://" + address, "--token-file", token, "--login", at)
    works("upload to the server", "remote", "upload", "--login", at, "--keys", b.keys)
    check("nothing" in works("again", "remote", "upload", "--login", at, "--keys", b.keys), "keys are there")
    timed(tuning.at_server, check, b, Page(b, at), "http://" + address)
    status = json.loads(works("status", "remote", "status", "--login", at, "--json"))
    check(status["keys"][0]["state"] == "ready" and status["models"][0]["id"] == b.setup["model"], "status", status)
    check("ready" in works("status in lines", "remote", "status", "--login", at), "status in lines")
    with subprocess.Popen([thor, *classify(b, at, "--data", b.table, "--json")],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        first = client.stdout.readline()
        server.kill()
        server.wait()
        server, _ = serve(b, int(address.split(":")[1]))
        out, err = client.communicate(timeout=600)
    check(verdicts(first + out) == b.want * 5, "ten rows, the server killed after the first", first + out, err)
    works("drop", "remote", "drop", "--login", at, "--all")
    server.terminate()
    check(server.wait(60) in (0, 9), "the server's end")


def test_gpt2(tmp):
    """A GPT-2's layers served from their container; its next token is the plain model's."""
    b = types.SimpleNamespace(tmp=os.path.join(tmp, "gpt2"))
    os.mkdir(b.tmp)
    b.model, b.weights, b.keys, at, token = (os.path.join(b.tmp, n) for n in ("m", "w", "keys", "login", "token"))
    config, table = os.path.join(b.tmp, "tiny.json"), os.path.join(b.model, "texts.tsv")
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"model_type": "gpt2", "activation_function": "gelu_new", "n_embd": 32, "n_layer": 1, "n_head": 2,
                   "n_inner": 64, "vocab_size": 500, "n_positions": 64, "bos_token_id": 499}, f)
    works("synth", "synth", "--config", config, "--out", b.model, "--texts", "60")
    works("encode", "encode", "--model", b.model, "--calibrate", table, "--tokens", "32", "--out", b.weights)
    works("keygen", "keygen", "--out", b.keys, "--weights", b.weights, *toy)
    want = json.loads(works("plain", "forward", "--data", table, "--index", "1", "--approx", "--model", b.model, "--json"))
    with open(token, "w", encoding="utf-8") as f:
        f.write(works("token", "serve", "token", "--name", "bob", "--tokens", os.path.join(b.tmp, "tokens.json")))
    server, address = serve(b)
    works("login", "remote", "login", "http://" + address, "--token-file", token, "--login", at)
    works("upload", "remote", "upload", "--login", at, "--keys", b.keys)
    got = json.loads(works("next token", *classify(b, at, "--data", table, "--index", "1", "--json", "--top", "2")))
    check(got["pred"] == want["plain_pred"] and got["labels"][0]["label"] == got["label"], "the next token", got, want)
    check(abs(got["score"] - want["labels"][0]["plain_score"]) < 0.01, "its probability", got, want)
    server.terminate()
    check(server.wait(60) in (0, 9), "the server's end")


def timed(test, *args):
    began = time.monotonic()
    test(*args)
    if os.environ.get("THOR_TIMES"):
        print(f"{test.__name__}: {time.monotonic() - began:.1f} s")


def main():
    with tempfile.TemporaryDirectory() as tmp:
        os.environ["TMPDIR"] = tmp
        os.environ["OMP_WAIT_POLICY"] = "passive"
        began = time.monotonic()
        b = Bench(tmp)
        if os.environ.get("THOR_TIMES"):
            print(f"keys and model: {time.monotonic() - began:.1f} s")
        test_help()
        s = Stub(b.setup)
        at = test_login(b, s)
        timed(test_upload, b, s, at)
        timed(test_wrong_answers, b, s, at)
        p = Page(b, at)
        timed(test_web, b, s, at, p)
        timed(tuning.http, check, b, p)
        if webdriver.missing():
            print(f"[  SKIPPED ] the page in a browser: {webdriver.missing()} is not there\n[  SKIPPED ] 1 test(s).")
        else:
            timed(test_browser, b, s, p)
        timed(tuning.ending, check, b, p)
        timed(test_classify, b, s, at)
        timed(test_serve, b)
        timed(test_gpt2, tmp)
        if shutil.which("openssl"):
            timed(test_tls, b)
        else:
            print("[  SKIPPED ] TLS: openssl is not there\n[  SKIPPED ] 1 test(s).")
        s.close()
    print(f"[  PASSED  ] {passed} test(s).")
    if failed:
        print(f"[  FAILED  ] {failed} test(s), listed above")
    return failed != 0


sys.exit(main())
