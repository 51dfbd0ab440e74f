// The page of `thor remote web`.  All that it shows comes from the program on this machine.
"use strict";

const at = (id) => document.getElementById(id);
const steps = ["tokens", "encrypt", "send", "work", "open"];
const gone = "the program on this machine does not answer: is it still running?";
let source = null;

function mib(bytes) {
    return bytes < 1048576 ? (bytes / 1024).toFixed(0) + " KiB" : (bytes / 1048576).toFixed(1) + " MiB";
}

// The step that runs: those before it are done.
function step(name, what, share) {
    const now = steps.indexOf(name);
    steps.forEach((s, i) => {
        at("step-" + s).className = i < now ? "done" : i === now ? "now" : "";
        if (i === now) at("step-" + s).setAttribute("aria-current", "step");
        else at("step-" + s).removeAttribute("aria-current");
    });
    const li = at("step-" + name), bar = li.querySelector("progress");
    if (what !== undefined) li.querySelector(".what").textContent = what;
    if (bar) {
        bar.hidden = share === undefined;
        if (share !== undefined) bar.value = share;
    }
}

function clear() {
    for (const s of steps) {
        const li = at("step-" + s), bar = li.querySelector("progress");
        li.className = "";
        li.removeAttribute("aria-current");
        li.querySelector(".what").textContent = "";
        if (bar) bar.hidden = true;
    }
    at("result").replaceChildren();
    at("seen").hidden = at("words-box").hidden = at("answer-box").hidden = true;
    at("nothing").hidden = false;
}

function say(kind, text) {
    const p = document.createElement("div");
    p.className = kind;
    p.textContent = text;
    at("result").append(p);
}

function busy(on) {
    at("go").disabled = on;
    at("cancel").disabled = !on;
    at("form").setAttribute("aria-busy", String(on));
}

function over() {
    if (source) source.close();
    source = null;
    busy(false);
}

function worked(job) {
    if (job.state === "queued")
        return step("work", job.position ? "waits behind " + job.position + " others" : "waits", 0);
    const left = job.seconds_left > 0 ? ", about " + Math.ceil(job.seconds_left) + " s left" : "";
    const where = job.layer < job.layers ? "layer " + (job.layer + 1) + " of " + job.layers + ": " : "";
    return step("work", job.state === "done" ? "done" : where + (job.stage || "starts") + left,
                job.total ? job.done / job.total : undefined);
}

function saw(e) {
    at("nothing").hidden = true;
    at("seen").hidden = at("words-box").hidden = false;
    at("seen-model").textContent = e.model;
    at("seen-bucket").textContent = "at most " + e.tokens + " tokens; how many is encrypted";
    at("seen-bytes").textContent = mib(e.bytes) + " in " + e.ciphertexts + " ciphertexts, the same for every text";
    at("seen-key").textContent = e.key;
    at("seen-ticket").textContent = e.ticket;
    at("seen-when").textContent = new Date().toLocaleTimeString();
    at("words").textContent = e.words.join(" ");
}

// A label with its score, or what else the model gives; then the best labels, or those of the words.
function ended(e) {
    const lines = e.line.trim().split("\n");
    say("label", e.label === undefined ? lines[0] : e.label);
    if (e.label !== undefined) say("score", "score " + e.score.toFixed(2));
    const rows = e.words ? e.words.map((w) => ({label: w.word + ": " + w.label, score: w.score})) : e.labels || [];
    if (rows.length < 2) return;
    const table = document.createElement("table");
    for (const l of rows) {
        const row = table.insertRow(), bar = document.createElement("meter");
        row.insertCell().textContent = l.label;
        bar.value = l.score;
        row.insertCell().append(bar);
        row.insertCell().textContent = l.score.toFixed(2);
    }
    table.setAttribute("aria-label", "Labels and their scores");
    at("result").append(table);
}

const on = {
    tokens: (e) => step("tokens", e.count + " of them, found and embedded here"),
    encrypt: () => step("encrypt", "with the secret key, which stays here"),
    saw: (e) => saw(e),
    send: (e) => step("send", mib(e.sent) + " of " + mib(e.bytes), e.sent / e.bytes),
    work: (e) => worked(e),
    wait: (e) => {
        const now = document.querySelector("#steps .now");
        step(now ? now.id.slice(5) : "send", e.why + "; tried again in " + Math.ceil(e.seconds) + " s");
    },
    fetch: () => step("open", "fetching the answer"),
    answer: (e) => {
        at("answer-box").hidden = false;
        at("answer").textContent = e.words.join(" ");
        step("open", "checked: it is to this request");
    },
    end: (e) => {
        steps.forEach((s) => { at("step-" + s).className = "done"; });
        at("step-open").removeAttribute("aria-current");
        at("step-open").querySelector(".what").textContent = "the answer is to this request";
        ended(e);
        over();
    },
    failed: (e) => {
        const now = document.querySelector("#steps .now");
        if (now) now.className = "failed";
        say("failed", e.error);
        over();
    },
};

async function send(event) {
    event.preventDefault();
    if (source || at("go").disabled) return;
    busy(true);
    clear();
    const texts = {text: at("text").value};
    if (at("pair").value) texts.pair = at("pair").value;
    try {
        const reply = await fetch("classify", {method: "POST", headers: {"Content-Type": "application/json"},
                                               body: JSON.stringify(texts)});
        const said = await reply.json();
        if (!reply.ok) throw new Error(said.detail);
        source = new EventSource("events?run=" + said.run);
        source.onmessage = (m) => {
            const e = JSON.parse(m.data);
            on[e.step](e);
        };
        source.onerror = () => {
            say("failed", gone);
            over();
        };
    } catch (e) {
        say("failed", e instanceof TypeError ? gone : e.message);
        over();
    }
}

function cancel() {
    if (!at("cancel").disabled) fetch("run", {method: "DELETE"}).catch(() => {});
}

async function about() {
    const a = await (await fetch("about")).json();
    at("server").textContent = a.server;
    at("f-server").value = at("f-server").value || a.server;
    at("pair-box").hidden = !a.pairs;
    at("about").textContent = "Model " + a.name + " (" + a.labels.join(", ") + "), texts of at most " + a.tokens +
        " tokens. Parameters " + a.parameters + ": " +
        (a.security_bits ? a.security_bits + " bits of security, classical." : "NO security, for tests only.") +
        " Scores are rounded to 1/100, so that showing them gives nothing of the key.";
}

// Which of the two views is shown stands behind the # of the address.
function view() {
    const name = location.hash === "#tune" ? "tune" : "classify";
    for (const e of document.querySelectorAll("[data-view]")) e.hidden = e.dataset.view !== name;
    for (const a of document.querySelectorAll("nav a")) {
        if (a.hash === "#" + name) a.setAttribute("aria-current", "page");
        else a.removeAttribute("aria-current");
    }
}

at("form").addEventListener("submit", send);
at("cancel").addEventListener("click", cancel);
document.addEventListener("keydown", (e) => {
    const here = !at("view-classify").hidden;
    if (e.key === "Escape") (here ? at("cancel") : at("try-cancel")).click();
    if (e.key !== "Enter" || !(e.ctrlKey || e.metaKey)) return;
    const form = e.target.closest ? e.target.closest("form") : null;
    (here ? at("form") : form || at("try-form")).requestSubmit();
});
window.addEventListener("hashchange", view);
view();
about().catch(() => say("failed", gone));
