/* The operator's page: asks /v1/status every two seconds and shows it.  Only text is put into the page. */
"use strict";
const $ = id => document.getElementById(id);
let token = sessionStorage.getItem("thor-token") || "", timer = 0;

function fill(parent, ...children) {
  parent.replaceChildren(...children);
  return parent;
}
function make(tag, text) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  return e;
}
const size = n => n >= 1e9 ? (n / 1e9).toFixed(2) + " GB" : n >= 1e6 ? (n / 1e6).toFixed(1) + " MB" : Math.round(n / 1e3) + " kB";
const seconds = s => s === null || s === undefined ? "" : s >= 100 ? s.toFixed(0) : s.toFixed(2);
const row = (...cells) => fill(make("tr"), ...cells.map(c => make("td", c)));
function pairs(list, entries) {
  fill(list, ...entries.flatMap(([k, v]) => [make("dt", k), make("dd", v)]));
}

function showWorkers(workers) {
  fill($("workers"), ...workers.map(w => {
    const box = make("div"), p = make("p");
    if (!w.job) { p.textContent = w.device + ": idle"; return fill(box, p); }
    const left = w.job.seconds_left === null ? "" : ", " + Math.ceil(w.job.seconds_left) + " s left";
    p.textContent = w.device + ": layer " + Math.min(w.job.layer + 1, w.job.layers) + " of " + w.job.layers + ", " + w.job.stage + left;
    const bar = make("progress");
    bar.max = w.job.total || 1;
    bar.value = w.job.done;
    bar.setAttribute("aria-label", "stages of the sentence on " + w.device);
    return fill(box, p, bar);
  }));
}

function show(s) {
  const p = s.parameters;
  $("state").textContent = s.state;
  $("state").className = s.state === "ready" ? "" : "bad";
  $("about").textContent = "version " + s.version + ", up " + Math.floor(s.uptime / 60) + " min; " + p.name + ": N = 2^" + p.log_n +
    ", log QP " + p.log_qp.toFixed(1) + ", " + (p.security_bits ? p.security_bits + " bits of security" : "NO SECURITY (test parameters)");
  showWorkers(s.workers);
  const q = s.queue;
  pairs($("queue"), [["waiting", q.waiting + " of " + q.most], ["running", q.running], ["done", q.done], ["failed", q.failed],
    ["cancelled", q.canceled], ["connections", s.connections]]);
  fill($("stages"), row("a sentence", seconds(s.seconds.p50), seconds(s.seconds.p95), s.seconds.n),
    ...s.stages.map(t => row(t.stage, seconds(t.p50), seconds(t.p95), t.n)));
  const refused = Object.entries(s.refused);
  pairs($("refused"), refused.length ? refused : [["nothing", ""]]);
  pairs($("memory"), [["process", size(s.memory.rss)], ["keys", size(s.memory.keys) + " of " + size(s.memory.keys_most)]]);
  fill($("keys"), ...s.keys.map(k => row(k.key.slice(0, 12), k.account, size(k.bytes),
    !k.ready ? "uploading" : k.resident ? "in memory" : "on disk", k.used, k.expires)));
  fill($("models"), ...s.models.flatMap(m => m.buckets.map(b => row(m.name, m.layers + " x " + m.hidden, b.tokens,
    size(b.key_bytes), size(b.request_bytes), seconds(b.seconds)))));
}

function leave(why) {
  clearTimeout(timer);
  token = "";
  sessionStorage.removeItem("thor-token");
  $("all").hidden = true;
  $("login").hidden = false;
  $("why").textContent = why;
  $("token").focus();
}

async function look() {
  try {
    const answer = await fetch("/v1/status", { headers: { Authorization: "Bearer " + token }, cache: "no-store" });
    const body = await answer.json();
    if (answer.status === 401 || answer.status === 403) return leave(body.detail);
    if (answer.ok) {
      show(body);
      $("login").hidden = true;
      $("all").hidden = false;
      $("why").textContent = "";
    } else {
      $("state").textContent = body.detail;
    }
  } catch (e) {
    $("state").textContent = "no connection";
    $("state").className = "bad";
  }
  timer = setTimeout(look, 2000);
}

$("login").addEventListener("submit", event => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem("thor-token", token);
  look();
});
$("leave").addEventListener("click", () => leave(""));
if (token) look(); else $("token").focus();
