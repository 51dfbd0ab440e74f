"""The tuning half of the page of `thor remote web`, over HTTP and in Chromium; remote.py calls it with its own check."""
import json
import os
import re
import signal
import subprocess
import time
import types
import urllib.request

STEPS, STEPS_OF_PAGE = "8", "60"
GPT2 = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../data/gpt2-tiny")


def toy(b):
    """A table that the tiny model learns, and a form that trains on it."""
    with open(os.path.join(b.model, "vocab.txt"), encoding="utf-8") as f:
        words = f.read().split()[5:20]
    t = types.SimpleNamespace(texts=[" ".join(words[:6]), " ".join(words[8:14])], csv=os.path.join(b.tmp, "rows.csv"))
    with open(t.csv, "w", encoding="utf-8") as f:
        f.write("text,label\n" + "".join(f"{text},{label}\n" for _ in range(6) for label, text in enumerate(t.texts)))
    t.form = {"model": b.model, "data": t.csv, "out": os.path.join(b.tmp, "tuned"), "rank": "4", "steps": STEPS,
              "batch": "4", "lr": "0.01", "where": "local"}
    return t


def post(p, what, form):
    code, _, body = p.ask(what, json.dumps(form), Origin=p.origin)
    return code, json.loads(body)


def listen(p, what, run, until=lambda e: False):
    """The events of a run, to its end or to the first that is what was waited for."""
    events = []
    with urllib.request.urlopen(f"{p.url}{what}/events?run={run}", timeout=60) as stream:
        for line in stream:
            if line.startswith(b"data: "):
                events.append(json.loads(line[6:]))
                if until(events[-1]):
                    break
    return events


def train(p, form, until=lambda e: False):
    return listen(p, "tune", post(p, "tune", form)[1]["run"], until)


def steps(events, kind):
    return [e["step"] for e in events if e["kind"] == kind]


def child(p):
    """The number of the process that trains."""
    return int(subprocess.run(["pgrep", "-P", str(p.program.pid)], capture_output=True, text=True, check=True).stdout)


def forms(check, t, p):
    """What is wrong with a form is said of a field, in one line, and starts nothing."""
    for change, field, why in (
            ({"model": "/none"}, "model", "/none: no such folder"), ({"model": ""}, "model", "missing"),
            ({"model": os.path.dirname(t.csv)}, "model", "no config.json"), ({"data": "-"}, "data", "no such file"),
            ({"data": t.csv + "x"}, "data", "rows.csvx: no such file"), ({"out": t.csv}, "out", "is a file"),
            ({"out": "/none/tuned"}, "out", "/none/: no such folder"), ({"rank": "0"}, "rank", "from 1 to 256"),
            ({"rank": "2.5"}, "rank", "whole"), ({"alpha": "nan"}, "alpha", "not a number"),
            ({"steps": "--plain"}, "steps", "--plain: not a"), ({"epochs": "2"}, "epochs", "exclude"),
            ({"epsilon": "-1"}, "epsilon", "not a number"), ({"delta": "1e-5"}, "epsilon", "missing"),
            ({"where": "elsewhere"}, "where", "plain, local"), ({"where": "server"}, "server", "address"),
            ({"data": "x" * 5000}, "data", "too long")):
        code, said = post(p, "tune", {**t.form, **change})
        check(code == 400 and said["field"] == field and why in said["detail"], f"a form with {str(change)[:60]}", said)
    code, said = post(p, "try", {**t.form, "text": t.texts[0]})
    check(code == 400 and said["field"] == "out" and "no adapter yet" in said["detail"], "nothing to try yet", said)
    form = json.dumps(t.form)
    for what in "tune", "try":
        for more in {}, {"Origin": "http://evil.example"}, {"Origin": p.origin, "Sec_Fetch_Site": "cross-site"}:
            check(p.ask(what, form, **more)[0] == 403, f"a stranger: {more}")
            check(p.ask(what, method="DELETE", **more)[0] == 403, f"a stranger: {more}")
    check(p.ask("tune", form, url=p.origin + "/" + "0" * 32 + "/", Origin=p.origin)[0] == 404, "another secret")
    about = json.loads(p.ask("tune")[2])
    check(about == {"folder": os.getcwd(), "busy": False, "run": 0}, "nothing was started", about)


def http(check, b, p):
    t = toy(b)
    forms(check, t, p)
    first = train(p, t.form, lambda e: e.get("step") == 2)
    check(post(p, "tune", t.form)[0] == 409, "one training at a time")
    check(json.loads(p.ask("tune")[2]) == {"folder": os.getcwd(), "busy": True, "run": 1, "form": t.form}, "it is known")
    check(p.ask("tune", method="DELETE", Origin=p.origin)[0] == 200, "stop")
    first = listen(p, "tune", 1)
    done = steps(first, "line")
    check(first[-1]["code"] == 9 and done == list(range(1, done[-1] + 1)) and
          2 <= done[-1] < int(STEPS), "a training that was stopped", first)
    check(all(e["steps"] == int(STEPS) and e["rounds"] > 0 and e["up"] > 0 for e in first[:-1]), "what travels", first)
    train(p, t.form, lambda e: e["kind"] == "line")
    os.kill(child(p), signal.SIGKILL)
    killed = listen(p, "tune", 2)
    check(steps(killed, "past") == done and killed[-1]["code"] == -1 and "killed" in killed[-1]["error"], "killed", killed)
    rest = train(p, t.form)
    check(steps(rest, "line") == list(range(done[-1] + 1, int(STEPS) + 1)) and rest[-1] == {"kind": "end", "code": 0},
          "it goes on at the step where it stopped", rest)
    with open(os.path.join(t.form["out"], "log.jsonl"), encoding="utf-8") as f:
        check([json.loads(l)["step"] for l in f] == list(range(1, int(STEPS) + 1)), "each step once in the log")

    attempt = {**t.form, "text": t.texts[1], "where": "plain"}
    said = listen(p, "try", post(p, "try", attempt)[1]["run"])
    alone = subprocess.run([p.program.args[0], "tune", "classify", "--model", b.model, "--adapter", t.form["out"],
                            "--data", "-", "--plain", "--json"], input=t.texts[1], capture_output=True, text=True, check=True)
    check(said == [{**json.loads(alone.stdout), "kind": "line"}, {"kind": "end", "code": 0}], "as by classify", said, alone)
    sides = [[l["score"] for l in said[0][side]["labels"]] for side in ("before", "after")]
    check(all(abs(sum(s) - 1) < 1e-5 for s in sides), "scores add up to 1", sides)
    check(abs(sides[1][1] - sides[0][1]) > 1e-3, "before and after differ", sides)
    check(post(p, "try", {**attempt, "text": ""})[1]["field"] == "text", "no text to try")
    said = listen(p, "try", post(p, "try", {**attempt, "text": " ".join(t.texts * 8)})[1]["run"])
    check(said[-1]["code"] == 3 and "tokens" in said[-1]["error"], "a text that is too long", said)
    said = train(p, {**t.form, "rank": "5"})
    check(said[-1]["code"] == 2 and "other options" in said[-1]["error"], "other settings in the same folder", said[-1])
    said = train(p, {**t.form, "out": os.path.join(b.tmp, "private"), "where": "plain", "epsilon": "8"})
    check(7 < said[-2]["epsilon"] <= 8, "epsilon spent", said[-2:])
    with open(t.csv, "a", encoding="utf-8") as f:
        f.write("no label,nothing\n")
    said = train(p, {**t.form, "out": os.path.join(b.tmp, "bad")})
    check(said[-1]["code"] == 3 and said[-1]["error"].startswith(t.csv + ": row 12"), "a bad row", said)
    speaks(check, b, p)


def speech(b, p):
    """An adapter of a language model, and the form that tries it."""
    out, data = os.path.join(b.tmp, "speech"), os.path.join(b.tmp, "speech.txt")
    with open(data, "w", encoding="utf-8") as f:
        f.write("And the LORD said unto the sea, Be still\n" * 8)
    if not os.path.exists(out):
        subprocess.run([p.program.args[0], "tune", "train", "--plain", "--model", GPT2, "--data", data, "--steps", "12",
                        "--maps", "all", "--lr", "1e-2", "--seed", "s", "--out", out], capture_output=True, check=True)
    return {"model": GPT2, "out": out, "where": "plain", "text": "And the LORD", "tokens": "6"}


def speaks(check, b, p):
    """A language model goes on with the text, as by thor tune generate."""
    form = speech(b, p)
    said = listen(p, "try", post(p, "try", form)[1]["run"])
    alone = subprocess.run([p.program.args[0], "tune", "generate", "--model", GPT2, "--adapter", form["out"], "--compare",
                            "--prompt", form["text"], "--tokens", "6", "--plain", "--json"],
                           capture_output=True, text=True, check=True)
    check(said == [{**json.loads(alone.stdout), "kind": "line"}, {"kind": "end", "code": 0}], "as by generate", said, alone)
    check(len(said[0]["after"]["tokens"]) == 6 and said[0]["before"]["text"] != said[0]["after"]["text"], "texts", said)
    for bad in "0", "201", "many":
        check(post(p, "try", {**form, "tokens": bad})[1]["field"] == "tokens", f"{bad} new tokens")


def fill(page, **values):
    """By keyboard: what stands in the field goes."""
    for name, value in values.items():
        page.script("const f = document.getElementById(arguments[0]); f.focus(); f.select();", name)
        page.type(value)


def key(page, name):
    page.script("document.getElementById(arguments[0]).focus()", name)
    page.type("\ue007")


def text_of(page, name):
    return page.script("return document.getElementById(arguments[0]).textContent", name)


def browser(check, b, p, page, pictures):
    t = toy(b)
    out = os.path.join(b.tmp, "by-page")
    page.go(p.url + "#tune")
    page.script("location.reload()")
    check(page.wait("document.getElementById('f-model').value"), "the form of the latest training is there again")
    fill(page, **{"f-model": t.form["model"] + "x", "f-data": t.csv, "f-out": out, "f-rank": "4", "f-steps": STEPS_OF_PAGE})
    page.script("document.querySelector('#view-tune details').open = true")
    fill(page, **{"f-batch": "4", "f-lr": "0.01"})
    page.script("document.getElementById('f-where').focus()")
    page.type("plain")
    page.script("document.getElementById('f-rank').focus()")
    page.type("\ue007")
    check(page.wait("document.getElementById('e-model').textContent"), "a folder that is not there")
    check(text_of(page, "e-model") == t.form["model"] + "x: no such folder; name one with config.json", "one line beside it",
          text_of(page, "e-model"))
    check(page.script("return document.activeElement.id") == "f-model", "the field has the focus")
    pictures(page, "tune-wrong")
    said = [e["message"] for e in page.log("browser")]
    check(len(said) == 1 and "400" in said[0], "a refused form is all that the browser notes", said)
    page.script("""const wait = setInterval(() => {  // for a machine on which the test is slower than the training
        if (train.lines.length < 5) return;
        clearInterval(wait);
        at("stop").click();
    }, 10);""")
    fill(page, **{"f-model": t.form["model"]})
    page.type("\ue007")
    points = "document.querySelector('#curve .each').getAttribute('points').split(' ').length"
    check(page.wait("document.querySelector('#curve .each') && " + points + " > 4"), "the curve grows", page.text("#state"))
    check(not text_of(page, "e-model"), "the line is gone")
    check(text_of(page, "at-step").endswith(" of " + STEPS_OF_PAGE), "steps", text_of(page, "at-step"))
    check(page.wait("document.getElementById('state').textContent.startsWith('Stopped')"), "stopped", page.text("#state"))
    stopped = int(re.search(f"behind step ([0-9]+) of {STEPS_OF_PAGE}", text_of(page, "state") + "behind step 0 of 60")[1])
    check(stopped >= 5 and page.wait(f"{points} === {stopped}", 5), "a point a step", text_of(page, "state"))
    pictures(page, "tune-stopped")
    page.script("location.reload()")
    check(page.wait("!document.getElementById('resume').disabled"), "the page comes up again where it was")
    key(page, "resume")
    check(page.wait("document.getElementById('state').textContent.startsWith('Done')"), "done", page.text("#state"))
    check(page.wait(f"{points} === {STEPS_OF_PAGE}") and
          page.script("return train.goesOn") == [stopped + 1], "it went on behind the step where it stopped",
          page.script("return [train.goesOn, train.lines.map((l) => l.step)]"))
    check("Loss: " in page.script("return document.getElementById('curve').getAttribute('aria-label')") and
          int(text_of(page, "at-rounds").replace(",", "")) > int(STEPS_OF_PAGE), "what is said of it", page.text("#facts"))
    fill(page, **{"try-text": t.texts[1] + "\ue009\ue007"})
    check(page.wait("document.querySelector('#tried table, #tried .failed')"), "before and after come")
    rows = page.script("return [...document.querySelectorAll('#tried tbody tr')].map((r) => r.innerText.split(/\\s+/))")
    check(rows[0][0] == "1" and float(rows[0][2]) > 0.9 > float(rows[0][1]), "the label after the adapter", rows)
    pictures(page, "tune-done")
    form = speech(b, p)
    page.script("document.getElementById('try-tokens').closest('details').open = true")
    fill(page, **{"f-model": form["model"], "f-out": form["out"], "try-text": form["text"], "try-tokens": "6"})
    page.script("document.getElementById('f-where').focus()")
    page.type("plain")
    key(page, "try")
    check(page.wait("document.querySelector('#tried dl, #tried .failed')"), "texts come")
    said = page.script("return [...document.querySelectorAll('#tried dd')].map((d) => d.textContent)")
    check(len(said) == 2 and all(x.startswith(form["text"]) for x in said) and said[0] != said[1], "both texts", said)
    pictures(page, "tune-spoken")
    page.script("document.querySelector('nav a').click()")
    check(page.wait("document.getElementById('view-tune').hidden"), "back to the other view")


def at_server(check, b, p, url):
    """Frozen weights at a real server, with the token that the page's program has."""
    t = toy(b)
    form = {**t.form, "out": os.path.join(b.tmp, "afar"), "where": "server", "server": url, "steps": "2", "batch": "2"}
    said = train(p, form)
    check(steps(said, "line") == [1, 2] and all(e["up"] > 0 and e["down"] > 0 for e in said[:2]), "steps", said)
    check(said[-1] == {"kind": "end", "code": 0}, "trained at a server", said)
    said = train(p, {**form, "out": os.path.join(b.tmp, "nowhere"), "server": "http://192.0.2.1"})
    check(said[-1]["code"] and "192.0.2.1" in said[-1]["error"], "another server than that of the login", said)
    p.close()


def ending(check, b, p):
    """A training that runs when the page's program ends is stopped as by Ctrl-C."""
    t = toy(b)
    out = os.path.join(b.tmp, "ended")
    train(p, {**t.form, "out": out, "steps": "1000000", "where": "plain"}, lambda e: e["kind"] == "line")
    pid = child(p)
    p.close()
    end = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
        time.sleep(0.05)
    check(not os.path.exists(f"/proc/{pid}") and os.path.exists(os.path.join(out, "training.json")), "it was stopped")
