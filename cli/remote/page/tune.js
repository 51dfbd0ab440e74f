// Training an adapter, and trying it.  Behind web.js, whose names it uses.
"use strict";

const train = {lines: [], steps: 0, goesOn: [], past: false, form: null, busy: false, source: null, drawn: false};
let tries = null;

// ---- fields ----

function fields() {
    const form = {};
    for (const f of at("tune-form").elements) if (f.name) form[f.name] = f.value.trim();
    return form;
}

function fill(form) {
    for (const f of at("tune-form").elements) if (f.name && form[f.name] !== undefined) f.value = form[f.name];
    at("server-box").hidden = at("f-where").value !== "server";
}

function unmark() {
    for (const e of document.querySelectorAll("#view-tune .error")) e.textContent = "";
    for (const f of document.querySelectorAll("#view-tune [aria-invalid]")) f.removeAttribute("aria-invalid");
    at("tune-failed").textContent = "";
}

// One line beside the field, which gets the focus; false when there is no such field.
function mark(name, text) {
    const line = at("e-" + name), field = at("f-" + name) || at("try-" + name);
    if (!line || !field) return false;
    line.textContent = text;
    field.setAttribute("aria-invalid", "true");
    for (let d = field.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
    field.focus();
    return true;
}

// What the program says begins with the option or the file that it is about.
function markBy(text) {
    const form = fields();
    const name = Object.keys(form).find((n) => text.startsWith("--" + n) || (form[n] && text.startsWith(form[n])));
    return name !== undefined && mark(name, text);
}

// The number of the run; null, and the reason is shown.
async function begin(what, form) {
    try {
        const reply = await fetch(what, {method: "POST", headers: {"Content-Type": "application/json"},
                                         body: JSON.stringify(form)});
        const said = await reply.json();
        if (reply.ok) return said.run;
        if (!said.field || !mark(said.field, said.detail)) at("tune-failed").textContent = said.detail;
    } catch {
        at("tune-failed").textContent = gone;
    }
    return null;
}

// ---- the curve ----

const left = 44, above = 10, below = 214, tall = 240;

function svg(name, attributes, text) {
    const e = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
    if (text !== undefined) e.textContent = text;
    at("curve").append(e);
}

// 1, 2 or 5 times a power of ten, for about that many of them.
function stepOf(span, many) {
    const ten = 10 ** Math.floor(Math.log10(span / many));
    return ten * [1, 2, 5, 10].find((m) => span / (m * ten) <= many);
}

// Mean loss of each of at most 240 stretches, and the running mean of a tenth of them.
function curves(points) {
    const wide = Math.ceil(points.length / 240), each = [], mean = [];
    for (let i = 0; i < points.length; i += wide) {
        const some = points.slice(i, i + wide);
        each.push([some[some.length - 1].step, some.reduce((a, p) => a + p.loss, 0) / some.length]);
    }
    const window = Math.max(1, Math.ceil(each.length / 10));
    each.forEach(([step], i) => {
        const some = each.slice(Math.max(0, i + 1 - window), i + 1);
        mean.push([step, some.reduce((a, p) => a + p[1], 0) / some.length]);
    });
    return [each, mean];
}

function draw() {
    const points = train.lines.filter((l) => l.rows > 0), right = (at("curve").clientWidth || 480) - 8;
    at("curve").replaceChildren();
    at("curve").setAttribute("viewBox", "0 0 " + (right + 8) + " " + tall);
    if (!points.length) {
        svg("text", {x: (right + 8) / 2, y: tall / 2, "text-anchor": "middle"}, "The loss of each step will be here.");
        return at("curve").setAttribute("aria-label", "Loss: nothing yet");
    }
    const [each, mean] = curves(points), last = Math.max(train.steps, points[points.length - 1].step, 2);
    let low = Math.min(...each.map((p) => p[1])), high = Math.max(...each.map((p) => p[1]));
    if (high - low < 1e-3) low -= 5e-4, high += 5e-4;
    const x = (s) => left + (right - left) * (s - 1) / (last - 1);
    const y = (l) => below - (below - above) * (l - low) / (high - low);
    const up = stepOf(high - low, 5), on = Math.max(1, stepOf(last - 1, 6));
    const places = Math.max(0, -Math.floor(Math.log10(up)));
    for (let v = Math.ceil(low / up) * up; v <= high + up * 1e-6; v += up) {
        svg("line", {class: "grid", x1: left, x2: right, y1: y(v), y2: y(v)});
        svg("text", {x: left - 6, y: y(v) + 4, "text-anchor": "end"}, v.toFixed(places));
    }
    for (let s = on; s <= last; s += on) svg("text", {x: x(s), y: below + 18, "text-anchor": "middle"}, s);
    for (const s of train.goesOn)
        svg("line", {class: "went-on", x1: x(s - 0.5), x2: x(s - 0.5), y1: above, y2: below});
    const path = (l) => l.map(([s, v]) => x(s).toFixed(1) + "," + y(v).toFixed(1)).join(" ");
    svg("polyline", {class: "each", points: path(each)});
    svg("polyline", {class: "mean", points: path(mean)});
    const end = mean[mean.length - 1];
    svg("circle", {class: "last", cx: x(end[0]), cy: y(end[1]), r: 3});
    at("curve").setAttribute("aria-label", "Loss: " + points[0].loss.toFixed(4) + " at step " + points[0].step + ", " +
        points[points.length - 1].loss.toFixed(4) + " at step " + points[points.length - 1].step);
    return undefined;
}

// ---- figures ----

function time(seconds) {
    if (seconds < 90) return Math.ceil(seconds) + " s";
    if (seconds < 5400) return Math.round(seconds / 60) + " min";
    return (seconds / 3600).toFixed(1) + " h";
}

function sum(lines, name) {
    return lines.reduce((a, l) => a + (l[name] || 0), 0);
}

function epsilon(line) {
    const budget = train.form ? Number(train.form.epsilon) : 0;
    at("epsilon-bar").hidden = !(budget > 0);
    if (!(budget > 0)) {
        at("at-epsilon").textContent = "none: the adapter may tell of its rows";
        return;
    }
    const spent = line && line.epsilon ? line.epsilon : 0;
    at("epsilon-bar").value = Math.min(1, spent / budget);
    at("at-epsilon").textContent = spent.toFixed(3) + " spent, " + Math.max(0, budget - spent).toFixed(3) +
        " left of " + budget + " at delta " + (train.form.delta || "1e-5");
}

function show() {
    train.drawn = false;
    const n = train.lines.length, line = train.lines[n - 1], latest = train.lines.slice(-20);
    draw();
    epsilon(line);
    at("run-bar").value = line && train.steps ? line.step / train.steps : 0;
    at("at-step").textContent = line ? line.step + (train.steps ? " of " + train.steps : "") : "–";
    at("at-loss").textContent = line && line.rows ? line.loss.toFixed(4) : "–";
    at("at-left").textContent = train.busy && line && train.steps
        ? time((train.steps - line.step) * sum(latest, "seconds") / latest.length) : "–";
    at("at-rounds").textContent = n ? sum(train.lines, "rounds").toLocaleString("en") : "–";
    at("at-traffic").textContent = !n ? "–" : train.form && train.form.where === "plain"
        ? "none: the frozen weights are here, and nothing is encrypted"
        : mib(sum(train.lines, "up")) + " up, " + mib(sum(train.lines, "down")) + " down";
}

function draws() {
    if (train.drawn) return;
    train.drawn = true;
    requestAnimationFrame(show);
}

// ---- a training ----

function training(on, text) {
    train.busy = on;
    at("start").disabled = on;
    at("stop").disabled = !on;
    at("resume").disabled = on || !train.form;
    at("tune-form").setAttribute("aria-busy", String(on));
    at("state").textContent = text;
    at("state").className = "";
    draws();
}

// Lines of steps that come again replace the former ones.
function took(e) {
    const lines = train.lines;
    while (lines.length && lines[lines.length - 1].step >= e.step) lines.pop();
    if (e.kind === "line" && train.past && lines.length) {
        train.goesOn = train.goesOn.filter((s) => s < e.step);
        train.goesOn.push(e.step);
    }
    train.past = e.kind === "past";
    if (e.steps) train.steps = e.steps;
    if (e.kind === "line" && !at("stop").disabled) at("state").textContent = "Step " + e.step + " of " + e.steps;
    lines.push(e);
    draws();
}

function trained(e) {
    const line = train.lines[train.lines.length - 1], step = line ? line.step : 0;
    train.source.close();
    if (e.code === 0) {
        const spent = train.steps && step < train.steps;
        training(false, spent ? "Done: one step more would pass the budget of epsilon." : "Done. The adapter is in " +
            train.form.out + ".");
        at("resume").disabled = true;
        return;
    }
    if (e.code === 9) {
        training(false, "Stopped behind step " + step + (train.steps ? " of " + train.steps : "") + ". Resume goes on.");
        return;
    }
    training(false, "Failed: " + e.error);
    at("state").className = "failed";
    markBy(e.error);
}

function follow(run) {
    Object.assign(train, {lines: [], goesOn: [], past: false, steps: 0});
    training(true, "Starts: model, data and keys are read.");
    train.source = new EventSource("tune/events?run=" + run);
    train.source.onmessage = (m) => {
        const e = JSON.parse(m.data);
        if (e.kind === "end") trained(e);
        else took(e);
    };
    train.source.onerror = () => {
        train.source.close();
        training(false, gone);
    };
}

async function start(form) {
    if (train.busy) return;
    unmark();
    const run = await begin("tune", form);
    if (run === null) return;
    train.form = form;
    follow(run);
}

function stop() {
    at("stop").disabled = true;
    at("state").textContent = "Stops behind this step.";
    fetch("tune", {method: "DELETE"}).catch(() => {});
}

// ---- the playground ----

function tried(e) {
    const table = document.createElement("table"), head = table.createTHead().insertRow(), sides = [e.before, e.after];
    for (const t of ["Label", "Before", "After"]) {
        const th = document.createElement("th");
        th.scope = "col";
        th.textContent = t;
        head.append(th);
    }
    const rows = e.after.labels.map((l, i) => [l.label, e.before.labels[i].score, l.score]);
    rows.sort((a, b) => b[2] - a[2]);
    const body = table.createTBody();
    for (const [label, ...scores] of rows.slice(0, 10)) {
        const row = body.insertRow();
        row.insertCell().textContent = label;
        scores.forEach((score, i) => {
            const cell = row.insertCell(), bar = document.createElement("meter");
            bar.value = score;
            cell.className = sides[i].label === label ? "best" : "";
            cell.append(score.toFixed(2) + " ", bar);
        });
    }
    table.setAttribute("aria-label", "Scores before and after the adapter");
    const line = document.createElement("p");
    line.textContent = e.before.label === e.after.label ? e.after.label + " before and after"
                                                        : e.before.label + " before, " + e.after.label + " after";
    at("tried").replaceChildren(line, table);
}

// How a language model goes on with the text.
function spoken(e) {
    const list = document.createElement("dl");
    for (const [side, name] of [["before", "Before"], ["after", "After"]]) {
        const dt = document.createElement("dt"), dd = document.createElement("dd");
        const more = document.createElement("strong");
        dt.textContent = name;
        more.textContent = e[side].text;
        dd.append(e.prompt, more);
        list.append(dt, dd);
    }
    const line = document.createElement("p"), n = e.after.tokens.length;
    line.textContent = e.same_tokens === n && n === e.before.tokens.length
        ? "the same " + n + " new tokens before and after"
        : "the first " + e.same_tokens + " of " + n + " new tokens the same";
    at("tried").replaceChildren(line, list);
}

function notTried(text) {
    const p = document.createElement("p");
    p.className = "failed";
    p.textContent = text;
    at("tried").replaceChildren(p);
}

function tryOver() {
    if (tries) tries.close();
    tries = null;
    at("try").disabled = false;
    at("try-cancel").disabled = true;
}

async function attempt(event) {
    event.preventDefault();
    if (at("try").disabled) return;
    unmark();
    at("try").disabled = true;
    at("tried").replaceChildren();
    const form = fields(), run = await begin("try", {model: form.model, out: form.out, where: form.where,
        server: form.server, text: at("try-text").value, pair: at("try-pair").value, tokens: at("try-tokens").value});
    if (run === null) return tryOver();
    at("try-cancel").disabled = false;
    at("tried").textContent = "Computes.";
    tries = new EventSource("try/events?run=" + run);
    tries.onmessage = (m) => {
        const e = JSON.parse(m.data);
        if (e.kind === "line") return e.after.labels ? tried(e) : spoken(e);
        if (e.code) notTried(e.error);
        return tryOver();
    };
    tries.onerror = () => {
        notTried(gone);
        tryOver();
    };
    return undefined;
}

// ---- beginning ----

async function known() {
    const a = await (await fetch("tune")).json();
    at("f-model").placeholder = "in " + a.folder;
    if (!a.form) return;
    train.form = a.form;
    fill(a.form);
    follow(a.run);
}

window.addEventListener("resize", draws);
window.addEventListener("hashchange", draws);
draws();
at("f-where").addEventListener("change", () => { at("server-box").hidden = at("f-where").value !== "server"; });
at("tune-form").addEventListener("submit", (e) => {
    e.preventDefault();
    start(fields());
});
at("stop").addEventListener("click", stop);
at("resume").addEventListener("click", () => {
    fill(train.form);
    start(train.form);
});
at("try-form").addEventListener("submit", attempt);
at("try-cancel").addEventListener("click", () => { fetch("try", {method: "DELETE"}).catch(() => {}); });
known().catch(() => { at("state").textContent = gone; });
