"""A server for the tests of `thor remote`: the HTTP interface of `thor serve` in plain Python, with faults on order.

It computes with thor-eval.  XXH3-128 comes from libxxhash itself, by ctypes.  Stub(..).faults is a dict; a fault that is
a list is used up from its front, one request each."""
import base64
import ctypes
import http.server
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import threading
import time


class Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


_xxh = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
_xxh.restype = Hash128
_xxh.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3(data):
    h = _xxh(bytes(data), len(data))
    return f"{h.high:016x}{h.low:016x}"


def new_token():
    return "thor_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


class Stub:
    """setup: thor_eval, eval_args, work (a folder), model (the id), params, tokens, key_bytes, request_bytes, answer_bytes"""

    def __init__(self, setup, cert=None, block=4 << 20):
        self.setup, self.block = setup, block
        self.token = new_token()
        self.faults, self.log = {}, []
        self.keys, self.jobs, self.repeats = {}, {}, {}
        self.lock, self.computes = threading.Lock(), threading.Lock()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # connections that a test cuts
        if cert:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*cert)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"{'https' if cert else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def take(self, fault):
        """The fault's next value, or None."""
        with self.lock:
            have = self.faults.get(fault)
            return have.pop(0) if isinstance(have, list) and have else None if isinstance(have, list) else have

    def model(self):
        s = self.setup
        return {"id": s["model"], "name": "tiny", "parameters": s["params"], "layers": 1, "hidden": 48, "labels": 2,
                "tokens": s["tokens"], "block_bytes": self.block, "server_sees": ["the bucket"],
                "buckets": [{"tokens": s["tokens"], "keys": 1, "key_bytes": s["key_bytes"],
                             "request_bytes": s["request_bytes"], "ciphertexts": 2,
                             "answer_bytes": s["answer_bytes"], "seconds": None}]}

    def answer(self, body):
        """What thor-eval makes of a request."""
        name = os.path.join(self.setup["work"], secrets.token_hex(8))
        with open(name, "wb") as f:
            f.write(body)
        with self.computes:
            subprocess.run([self.setup["thor_eval"], "--in", name, "--out", name + ".answer", *self.setup["eval_args"]],
                           check=True, capture_output=True)
        with open(name + ".answer", "rb") as f:
            return f.read()

    def run_job(self, job):
        for layer, stage in ((0, "qkv"), (0, "gelu"), (1, "head")):
            job.update(state="running", layer=layer, stage=stage, done=job["done"] + 1)
            time.sleep(0.05)
            if job["job"] not in self.jobs:  # dropped: it takes no fault, nor time
                return
        if self.take("lost"):
            job.update(state="failed", problem={"type": "urn:thor:lost", "status": 500, "detail": "the job was lost"})
        elif self.take("failed"):
            job.update(state="failed", problem={"type": "urn:thor:failed", "status": 422, "detail": "no such luck"})
        else:
            job["_answer"] = self.take("answer") or self.answer(job["_body"])
            job.update(state="done", bytes=len(job["_answer"]), done=3)

    def handler(self):
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def reply(self, status, body=b"", kind="application/json", **headers):
                if isinstance(body, (dict, list)):
                    body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Content-Type", kind)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), str(value))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def problem(self, status, name, detail, **headers):
                self.reply(status, {"type": "urn:thor:" + name, "title": name, "status": status, "detail": detail},
                           "application/problem+json", **headers)

            def body(self):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            def any(self):
                stub.log.append((time.monotonic(), self.command, self.path, dict(self.headers)))
                if self.headers.get("Authorization") != "Bearer " + stub.token:
                    self.body()
                    return self.problem(401, "no-token", "no such token")
                for pattern, what in ROUTES:
                    found = re.fullmatch(pattern, self.path)
                    if found and hasattr(self, self.command.lower() + "_" + what):
                        return getattr(self, self.command.lower() + "_" + what)(*found.groups())
                self.body()
                return self.problem(404, "not-found", "there is nothing of that name")

            do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = any

            def get_account(self):
                self.reply(200, {"name": "alice", "kind": "user", "requests_today": 1, "requests_a_day": 0,
                                 "key_bytes": 0, "key_bytes_most": 0})

            def get_models(self):
                self.reply(200, {"models": [stub.model()]})

            def get_model(self, which):
                if which != stub.setup["model"]:
                    return self.problem(404, "not-found", "there is nothing of that name")
                return self.reply(200, stub.model())

            # ---- keys
            def get_keys(self):
                self.reply(200, {"keys": [self.shown_key(k) for k in stub.keys.values()]})

            def shown_key(self, k):
                return {"key": k["key"], "id": k["id"], "model": k["model"], "tokens": k["tokens"], "bytes": k["bytes"],
                        "offset": len(k["data"]), "state": "ready" if len(k["data"]) == k["bytes"] else "uploading",
                        "expires": "2030-01-01T00:00:00Z"}

            def post_keys(self):
                q = json.loads(self.body())
                for k in stub.keys.values():
                    if (k["id"], k["model"], k["tokens"]) == (q["id"], q["model"], q["tokens"]):
                        if k["blocks"] != q["blocks"]:
                            return self.problem(409, "differs", "other keys of that name are here")
                        return self.reply(200, self.shown_key(k), Location="/v1/keys/" + k["key"],
                                          Upload_Offset=len(k["data"]))
                k = dict(q, key=secrets.token_hex(16), data=bytearray())
                stub.keys[k["key"]] = k
                return self.reply(201, self.shown_key(k), Location="/v1/keys/" + k["key"], Upload_Offset=0)

            def head_key(self, key):
                k = stub.keys.get(key)
                if not k:
                    return self.problem(404, "not-found", "there is nothing of that name")
                return self.reply(200, Upload_Offset=len(k["data"]))

            def patch_key(self, key):
                k, busy = stub.keys[key], stub.take("upload-busy")
                if busy:
                    self.body()
                    return self.problem(429, "queue-full", "come again", Retry_After=busy)
                if int(self.headers["Upload-Offset"]) != len(k["data"]):
                    self.body()
                    return self.problem(409, "offset", "not there", Upload_Offset=len(k["data"]))
                left, cut = int(self.headers["Content-Length"]), stub.take("cut")
                while left:
                    piece = bytearray(self.rfile.read(min(left, stub.block)))
                    if not piece:
                        return None
                    left -= len(piece)
                    if stub.take("damage"):
                        piece[len(piece) // 2] ^= 1
                    if xxh3(piece) != k["blocks"][len(k["data"]) // stub.block]:
                        self.close_connection = True
                        self.problem(422, "bad-block", "a block is damaged", Upload_Offset=len(k["data"]))
                        while left and self.rfile.read(min(left, stub.block)):  # else the reply could be lost
                            left -= min(left, stub.block)
                        return None
                    k["data"] += piece
                    if cut and len(k["data"]) >= cut:
                        self.close_connection = True
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return None
                return self.reply(204, Upload_Offset=len(k["data"]), Upload_Complete="?1")

            def delete_key(self, key):
                stub.keys.pop(key, None)
                self.reply(204)

            # ---- work
            def post_classify(self, which):
                body, busy = self.body(), stub.take("busy")
                if busy:
                    status, after = busy
                    return self.problem(status, "queue-full", "the queue is full",
                                        **({"Retry_After": after} if after is not None else {}))
                if stub.take("cut-reply"):  # taken, but the client does not hear of it
                    self.new_job(body)
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return None
                if not any(len(k["data"]) == k["bytes"] for k in stub.keys.values()):
                    return self.problem(409, "no-keys", "upload keys first")
                if stub.take("redirect"):
                    return self.reply(307, Location="http://127.0.0.1:1/v1/jobs/" + "0" * 32)
                job = self.new_job(body)
                return self.reply(202, self.shown_job(job),
                                  Location=(stub.take("elsewhere") or "") + "/v1/jobs/" + job["job"])

            def new_job(self, body):
                again = stub.repeats.get(self.headers["Idempotency-Key"])
                if again:
                    return again
                job = {"job": secrets.token_hex(16), "model": stub.setup["model"], "tokens": stub.setup["tokens"],
                       "state": "queued", "position": 2, "layers": 1, "total": 3, "done": 0, "seconds_left": None,
                       "request": xxh3(body), "created": "2026-01-01T00:00:00Z", "attempts": 1, "_body": body}
                stub.jobs[job["job"]] = stub.repeats[self.headers["Idempotency-Key"]] = job
                threading.Thread(target=stub.run_job, args=(job,), daemon=True).start()
                return job

            def shown_job(self, job):
                return {k: v for k, v in job.items() if k[0] != "_"}

            def get_jobs(self):
                self.reply(200, {"jobs": [self.shown_job(j) for j in stub.jobs.values()]})

            def delete_job(self, job):
                stub.jobs.pop(job, None)
                self.reply(204)

            def get_events(self, job):
                job = stub.jobs[job]
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Connection", "close")
                self.end_headers()
                self.close_connection = True
                shown, n = None, 0
                while True:
                    now = json.dumps(self.shown_job(job))
                    over = job["state"] not in ("queued", "running")
                    if now != shown:
                        name = "end" if over else "stage"
                        self.wfile.write(f": hello\n\nid: {n}\nevent: {name}\ndata: {now}\n\n".encode())
                        shown, n = now, n + 1
                        if stub.take("cut-events"):
                            return
                    if over:
                        return
                    time.sleep(0.02)

            def get_answer(self, job):
                job, answer = stub.jobs[job], bytearray(stub.jobs[job]["_answer"])
                if stub.take("flip"):
                    answer[-5] ^= 1
                if stub.take("longer"):
                    answer += b"more"
                if stub.take("shorter"):
                    answer = answer[:-1]
                if stub.take("cut-answer"):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(answer)))
                    self.send_header("Thor-Request", job["request"])
                    self.end_headers()
                    self.wfile.write(answer[:1000])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.reply(200, bytes(answer), "application/octet-stream",
                           Thor_Request=stub.take("request") or job["request"])

        ROUTES = (("/v1/account", "account"), ("/v1/models", "models"), ("/v1/models/([0-9a-f]{16})", "model"),
                  ("/v1/models/([0-9a-f]{16})/classify", "classify"), ("/v1/keys", "keys"),
                  ("/v1/keys/([0-9a-f]{32})", "key"), ("/v1/jobs", "jobs"), ("/v1/jobs/([0-9a-f]{32})", "job"),
                  ("/v1/jobs/([0-9a-f]{32})/events", "events"), ("/v1/jobs/([0-9a-f]{32})/answer", "answer"))
        return Handler
