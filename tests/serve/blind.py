"""What a server of split mode gets, stores and has in its memory while a model is trained: blind.py BUILD.

The client is build/tests/serve/recorder, which is thor and keeps in clear each row that it encrypts and each that it
decrypts. Searched for: any three consecutive numbers of them, and of the adapter, as doubles and as floats at any byte,
the text, its tokens. In: all bytes that go up, the store, the log, the server's memory. Controls send them plain."""
import glob
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time

from checks import run
from served import BLOCK, Client, Server, xxh3
from tap import Tap

state = {}


def resident(pid):
    """(first, end) of the pages that a process can write to and that are there: most of what it reserves never is."""
    page = os.sysconf("SC_PAGESIZE")
    with open(f"/proc/{pid}/maps", encoding="ascii") as f, open(f"/proc/{pid}/pagemap", "rb", 0) as pages:
        for m in filter(None, (re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line) for line in f)):
            at, end = int(m[1], 16), int(m[2], 16)
            pages.seek(at // page * 8)
            there = pages.read((end - at) // page * 8)[7::8]  # bit 63 of each: it is there
            for run_of in re.finditer(rb"[\x80-\xff]+", there):
                yield at + run_of.start() * page, at + run_of.end() * page


def memory(pid, to):
    """What a process has in memory; None where the system does not show it."""
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as mem, open(to, "wb") as out:
            for at, end in resident(pid):
                mem.seek(at)
                while at < end and (piece := mem.read(end - at)):
                    out.write(piece)
                    at += len(piece)
    except PermissionError:
        return None
    return to


def learned(s, v, tap, name):
    """Files of all that the server has got so far."""
    with open(s.path(name + ".up"), "wb") as f:
        for data in tap.up:
            f.write(data)
    files = [s.path(name + ".up"), v.log.name, *(f for f in glob.glob(s.path("blind/**"), recursive=True) if os.path.isfile(f))]
    image = memory(v.p.pid, s.path(name + ".memory"))
    return files + ([image] if image else [])


def sequences(path):
    with open(path, "rb") as f:
        data, at, out = f.read(), 0, []
    while at < len(data):
        n, = struct.unpack_from("<Q", data, at)
        out.append(data[at + 8:at + 8 + 8 * n])
        at += 8 + 8 * n
    return out


def add_adapter(s, path):
    """The trained numbers (and their first moments are functions of gradients) as one more sequence."""
    with open(s.path("blind-out/adapter_model.safetensors"), "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        f.read(n)
        data = f.read()
    values = struct.unpack(f"<{len(data) // 4}f", data)
    with open(path, "ab") as f:
        f.write(struct.pack(f"<Q{len(values)}d", len(values), *values))


def found(build, numbers, files):
    """{file: runs found as doubles, as floats}, and how many were looked for."""
    out = subprocess.run([os.path.join(build, "tests/serve/findruns"), numbers, *files], capture_output=True, check=True)
    first, *lines = out.stdout.decode().splitlines()
    return int(first), {f: (int(a), int(b)) for a, b, f in (line.split(" ", 2) for line in lines)}


def words(s):
    """The texts, each less its ends, and their tokens in a row, three at a time."""
    with open(s.path("t.tsv"), encoding="utf-8") as f:
        texts = [line.rstrip("\n").split("\t")[1] for line in f.readlines()[1:]]
    with open(s.path("m/vocab.txt"), encoding="utf-8") as f:
        number = {w: i for i, w in enumerate(f.read().split("\n"))}
    out = []
    for t in texts:
        ids = [number[w] for w in t.split(" ")[3:6]]
        out += [t[2:14].encode(), struct.pack("<3i", *ids), struct.pack("<3q", *ids)]
    return out


def holds(needles, files):
    hits = []
    for name in files:
        with open(name, "rb") as f:
            data = f.read()
        hits += [(name, n) for n in needles if n in data]
    return hits


def train(s):
    """A step of each kind of product, all maps trained."""
    state["token"] = s.token("alice")
    with open(s.path("token"), "w", encoding="ascii") as f:
        f.write(state["token"])
    # of split mode alone: a model that classifies has its words in memory anyway
    v = state["server"] = Server(s, "--split", s.path("m"), store="blind", model=False)
    tap = state["tap"] = Tap(v.port)
    s.run("remote", "login", tap.url, "--login", s.path("login"), "--token-file", s.path("token"))
    os.environ["RECORD"] = s.path("clear")
    s.run("tune", "train", "--model", s.path("m"), "--data", s.path("t.tsv"), "--batch", "4", "--maps", "all", "--steps", "2",
          "--out", s.path("blind-out"), "--server", tap.url, "--login", s.path("login"),
          program=os.path.join(build, "tests/serve/recorder"))
    add_adapter(s, s.path("clear"))
    state["asked"] = tap.requests()
    assert sum(r[1] == "/compute" for r in state["asked"]) >= 14


def blind(s):
    """Nothing of it is anywhere."""
    files = learned(s, state["server"], state["tap"], "blind")
    sought, hits = found(build, s.path("clear"), files)
    size = sum(os.path.getsize(f) for f in files)
    has_memory = any(f.endswith(".memory") for f in files)
    print(f"blind: {sought} runs of 3 numbers and {len(words(s))} of words in {size / 2**20:.0f} MiB of {len(files)} files"
          + ("" if has_memory else "; the server's memory is not shown here"))
    assert sought > 10000 and size > 6 << 20
    assert not any(a or b for a, b in hits.values()), hits
    assert not holds(words(s), files)


def plain(s):
    """The same search finds what is sent plain, as doubles and as floats: in the bytes, the store and the memory."""
    v, tap, needles = state["server"], state["tap"], words(s)
    c = Client(v, state["token"])
    c.port = tap.port
    c.c.port = tap.port
    keys = next(r[3] for r in state["asked"] if r[0] == "PATCH")
    good = next(r[3] for r in state["asked"] if r[1] == "/compute")
    wide = sequences(s.path("clear"))[0][:4000]
    narrow = struct.pack(f"<{len(wide) // 8}f", *struct.unpack(f"<{len(wide) // 8}d", wide))
    body = wide + b"".join(needles) + narrow
    a = declared(c, keys, "n12")
    assert c.append(a.headers["Location"], keys, 0).status == 204
    sent = (good[:64] + b"odd" + body + good)[:len(good)]
    assert len(body) < len(good) - 99
    # but its last byte, so that the server holds it while its memory is looked at
    half = socket.create_connection(("127.0.0.1", tap.port))
    half.sendall((f"POST /compute HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {state['token']}\r\nContent-Type: application/"
                  f"octet-stream\r\nThor-Keys: {a.json()['key']}\r\nContent-Length: {len(sent)}\r\n\r\n").encode() + sent[:-1])
    odd = (body + keys)[:len(keys)]
    b = declared(c, odd, "n12", id="1" * 32)
    c.append(b.headers["Location"], odd[:BLOCK], 0)
    time.sleep(2)
    files = learned(s, v, tap, "plain")
    half.close()
    _, hits = found(build, s.path("clear"), files)
    for kind in (".up", "/part", *([".memory"] if any(f.endswith(".memory") for f in files) else [])):
        there = [n for f, n in hits.items() if f.endswith(kind)]
        assert there and all(wide > 100 and narrow > 100 for wide, narrow in there), (kind, hits)
        assert {n for _, n in holds(needles, [f for f in files if f.endswith(kind)])} == set(needles), kind
    tap.close()
    assert v.stop() == 0


def declared(c, data, params, **other):
    m = c.ask("GET", "/v1/split").json()
    body = {"model": m["id"], "tokens": 0, "parameters": params, "id": data[32:48].hex(), "bytes": len(data),
            "blocks": [xxh3(data[i:i + BLOCK]) for i in range(0, len(data), BLOCK)], **other}
    r = c.ask("POST", "/v1/keys", json.dumps(body), Content_Type="application/json")
    assert r.status == 201, r.body
    return r


if __name__ == "__main__":
    build = os.path.abspath(sys.argv[1])
    if not os.path.exists(os.path.join(build, "tests/serve/recorder")):
        print("[  SKIPPED ] blind: built without libcurl\n[  PASSED  ] 0 test(s).\n[  SKIPPED ] 1 test(s), listed above:")
        sys.exit(0)
    sys.exit(run([train, blind, plain], build))
