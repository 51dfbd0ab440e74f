"""The steps of cli/serve/deploy run plainly: deploy.py BUILD.

The command of the systemd unit, told when it is ready, with its tokens as a credential; the command of the server's image;
what the images need of Debian; and, where they are installed, systemd-analyze, docker compose and nginx on the files."""
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys

from checks import run
from served import Client

HERE = "cli/serve/deploy/"


def text(name):
    with open(HERE + name, encoding="utf-8") as f:
        return f.read()


def unit():
    lines = text("thor.service").replace("\\\n", " ").splitlines()
    return [tuple(x.split("=", 1)) for x in lines if "=" in x and not x.startswith("#")]


def serve(s, argv, notify=None):
    """Started as by systemd or Docker; its address, its process and its log."""
    env = {"PATH": "/usr/bin:/bin", "OMP_WAIT_POLICY": "passive"}
    if notify:
        env["NOTIFY_SOCKET"] = notify
    log = open(s.path("deploy.log"), "w+b")
    p = subprocess.Popen(argv, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return p, log


def place(s, words):
    """The same command, on this machine's paths and a toy ring."""
    to = {"/usr/local/bin/thor-eval": s.eval, "thor-eval": s.eval, "/etc/thor/model.weights": s.path("w"),
          "/models/model.weights": s.path("w"), "/var/lib/thor": s.path("var"), "/var/lib/thor/store": s.path("var2"),
          "%d/tokens": s.path("tokens.json"), "/var/lib/thor/tokens.json": s.path("tokens.json"),
          "127.0.0.1:8443": "127.0.0.1:0", "0.0.0.0:8443": "127.0.0.1:0"}
    for w in words:
        assert w in to or re.fullmatch(r"serve|--[a-z]+", w), w
    return [to.get(w, w) for w in words] + s.toy


class Port:
    def __init__(self, log):
        log.seek(0)
        self.port = int(re.search(rb'"address":"127.0.0.1:(\d+)"', log.read()).group(1))


def systemd(s):
    token = s.token("alice")
    u = unit()
    settings = dict(u)
    assert settings["Type"] == "notify" and settings["DynamicUser"] == "yes" and settings["StateDirectory"] == "thor"
    assert settings["LoadCredential"] == "tokens:/etc/thor/tokens.json"
    at = s.path("notify")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(at)
    sock.settimeout(60)
    p, log = serve(s, place(s, shlex.split(settings["ExecStart"])), at)
    assert sock.recv(100) == b"READY=1"
    c = Client(Port(log), token)
    model, _ = c.upload(s, "a")
    r = c.classify(model, s.requests[0], Prefer="wait")
    assert s.decrypt("a", r.body, 0) == s.plain[0]
    p.send_signal(signal.SIGTERM)
    assert sock.recv(100) == b"STOPPING=1" and p.wait(60) == 0
    assert oct(os.stat(s.path("var")).st_mode & 0o777) == "0o700"
    if shutil.which("systemd-analyze"):
        copy = s.path("thor.service")
        with open(copy, "w", encoding="utf-8") as f:
            f.write(text("thor.service").replace("/usr/local/bin/thor-eval", s.eval))
        v = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, check=False)
        assert "thor.service:" not in (v.stdout + v.stderr).decode(), v.stderr


def image(s):
    docker = text("Dockerfile").replace("\\\n", " ")
    stage = docker[docker.index("AS server"):docker.index("AS client")]
    words = json.loads(re.search(r"^ENTRYPOINT (\[.*\])", stage, re.M).group(1))
    words += json.loads(re.search(r"^CMD (\[.*\])", stage, re.M).group(1))
    assert re.search(r"^USER thor", stage, re.M) and "thor-eval" in words[0] and "/src/thor " not in stage
    p, log = serve(s, place(s, words))
    for _ in range(600):
        log.seek(0)
        if b'"event":"ready"' in log.read():
            break
        assert p.poll() is None
        signal.sigtimedwait([], 0.1)
    assert Client(Port(log)).ask("GET", "/readyz").status == 200
    p.send_signal(signal.SIGTERM)
    assert p.wait(60) == 0


def packages(s):
    """Debian packages of the images: those of the Makefile to build, those of every library to run."""
    docker = text("Dockerfile").replace("\\\n", " ")
    build, base = (set(x.split()) for x in re.findall(r"--no-install-recommends\s+([a-z0-9+. -]+)", docker)[:2])
    with open("Makefile", encoding="utf-8") as f:
        wanted = set(re.search(r"^PACKAGES := (.*)$", f.read().replace("\\\n", " "), re.M).group(1).split())
    assert wanted - build <= {"gnuplot-nox"}, wanted - build
    if not shutil.which("dpkg-query") or "asan" in subprocess.run(["ldd", s.thor], capture_output=True, text=True,
                                                                  check=False).stdout:
        return
    direct = set()
    for program in (s.thor, s.eval):
        out = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
        direct |= set(re.findall(r"NEEDED.*\[(.*)\]", out))
    for library in direct:
        owner = subprocess.run(["dpkg-query", "-S", f"*/{library}"], capture_output=True, text=True, check=False).stdout
        owners = {line.split(":")[0] for line in owner.splitlines()}
        ours = {"libc6", "libgcc-s1", "libstdc++6", "libopenmpi3"} | base
        assert owners & ours or not owners, (library, owners)


def others(s):
    """What reads these files elsewhere, where it is installed."""
    env = dict(os.environ, MODELS="/models", CERTS="/certs")
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True,
                                                 check=False).returncode == 0:
        c = subprocess.run(["docker", "compose", "-f", HERE + "compose.yaml", "--profile", "client", "config", "--format", "json"],
                           capture_output=True, env=env, check=False)
        assert c.returncode == 0, c.stderr
        o = json.loads(c.stdout)["services"]
        secret = {v["source"] for v in o["client"]["volumes"]} & {v["source"] for v in o["server"]["volumes"]}
        assert secret == {"/models"} and set(o["client"]["networks"]) & set(o["server"]["networks"]) == set()
    if shutil.which("nginx") and shutil.which("openssl"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout",
                        s.path("key.pem"), "-out", s.path("cert.pem")], capture_output=True, check=True)
        conf = text("nginx.conf").replace("/etc/nginx/certs", s.dir).replace("server:8443", "127.0.0.1:8443")
        with open(s.path("nginx.conf"), "w", encoding="utf-8") as f:
            f.write("pid %s/pid; events {} http { %s }" % (s.dir, conf))
        n = subprocess.run(["nginx", "-t", "-c", s.path("nginx.conf"), "-e", s.path("e")], capture_output=True, check=False)
        assert n.returncode == 0, n.stderr


if __name__ == "__main__":
    sys.exit(run([systemd, image, packages, others], os.path.abspath(sys.argv[1])))
