"""How fast keys arrive: upload.py BUILD FOLDER.  Toy keys of 197 MB, sent UPLOADS (10) times into a store in FOLDER."""
import os
import subprocess
import sys
import tempfile
import time

from checks import dose, run
from served import Client, Server

where = sys.argv[2] if len(sys.argv) > 2 else None


def cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def upload(s):
    token = s.token("alice")
    folder = tempfile.mkdtemp(dir=where)
    os.symlink(folder, s.path("store"))
    v = Server(s)
    c = Client(v, token)
    model = c.ask("GET", "/v1/models").json()["models"][0]["id"]
    before, spent, began, wall, size = v.rss(), cpu(v.p.pid), 0, [], 0
    for _ in range(dose("UPLOADS", 3, 10)):
        data, _, r = c.declare(s.path("server-a/eval.key"), model, 32, s.params)
        began, size = time.monotonic(), len(data)
        assert c.append(r.headers["Location"], data, 0).status == 204
        wall.append(time.monotonic() - began)
        assert c.ask("DELETE", r.headers["Location"]).status == 204
    used = (cpu(v.p.pid) - spent) / len(wall) / size * 1e9
    print(f"upload: {size / min(wall) / 1e9:.2f} GB/s at best, {size / sorted(wall)[len(wall) // 2] / 1e9:.2f} in the middle; "
          f"{used:.2f} CPU seconds of the server a GB; RSS {(v.rss() - before) / 2**20:+.1f} MiB")
    assert v.rss() - before < 64 << 20
    assert v.stop() == 0
    subprocess.run(["rm", "-rf", folder], check=False)


if __name__ == "__main__":
    sys.exit(run([upload], os.path.abspath(sys.argv[1])))
