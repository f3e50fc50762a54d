// The dialog that files the report, and the links to what was written.

import { post, result } from "./api.js";
import { find, make } from "./element.js";
import { refresh } from "./live.js";
import { isWaiting, saved } from "./edits.js";
import { kept, on, state } from "./state.js";
import { t } from "./texts.js";

const FIELDS = ["title", "inspector", "object", "client"];
let working = false, before = null;

export function startFinishing() {
  const form = find("#finish-form");
  form.addEventListener("submit", (event) => { event.preventDefault(); file(form); });
  on("finished", () => { working = false; });
  on("desk texts photos", draw);
}

export function openFinish() {
  const form = find("#finish-form"), last = kept.get("finish") ?? {};
  for (const name of FIELDS) form.elements[name].value ||= last[name] ?? "";
  const open = state.photos.reduce((sum, photo) => sum + (photo.open ?? 0), 0);
  const unfinished = stillRunning();
  const warnings = [open ? t("finish_open", { n: open }) : "", unfinished ? t("finish_running", { n: unfinished }) : "",
    saved.waiting ? t("finish_unsaved", { n: saved.waiting }) : ""].filter(Boolean);
  find("#finish-open").hidden = !warnings.length;
  find("#finish-open").textContent = warnings.join(" ");
  find("#finish-error").hidden = true;
  find("#finish").showModal();
  draw();
}

const stillRunning = () => state.photos.filter((photo) => photo.state === "queued" || photo.state === "running").length;

async function file(form) {
  const values = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
  kept.set("finish", { ...values, title: "" });
  const body = { pdf: form.elements.pdf.checked, training: form.elements.training.checked };
  for (const name of FIELDS) if (values[name]) body[name] = values[name];
  find("#finish-error").hidden = true;
  if (state.photo && isWaiting(state.photo.id)) return fail(t("finish_unsaved", { n: saved.waiting }));
  before = JSON.stringify(state.desk?.finished ?? null);
  working = true;
  draw();
  try {
    const answer = await post("finish", body);
    if (answer?.finished) state.desk.finished = answer.finished;
    await watch(Boolean(answer?.finished));
  } catch (error) {
    fail(error.message);
  }
}

function fail(sentence) {
  working = false;
  find("#finish-error").textContent = t("finish_failed", { why: sentence });
  find("#finish-error").hidden = false;
  draw();
}

// Events tell when it is done; asking again tells too where they are lost.
async function watch(done) {
  while (working && !done) {
    await new Promise((go) => setTimeout(go, 1000));
    await refresh();
  }
  working = false;
  draw();
}

function draw() {
  const finished = state.desk?.finished;
  if (working && finished && JSON.stringify(finished) !== before) working = false;
  if (finished?.error && !working) {
    find("#finish-error").textContent = t("finish_failed", { why: finished.error });
    find("#finish-error").hidden = false;
  }
  const box = find("#finish-result");
  find("#finish-go").disabled = working || !state.photos.length || stillRunning() > 0;
  find("#finish-go").textContent = t(finished?.report ? "finish_again" : "finish_go");
  if (working) box.replaceChildren(make("p", { class: "working" }, make("progress", { "aria-label": t("finishing") }), t("finishing")));
  else if (finished?.report) box.replaceChildren(links(finished));
  else box.replaceChildren();
}

function links(finished) {
  const link = (key, name) => (name ? make("li", {}, make("a", { href: result(name), target: "_blank", rel: "noopener" }, t(key))) : null);
  return make("div", { class: "results" }, make("strong", {}, t("filed")),
    make("ul", {}, link("open_report", finished.report), link("open_pdf", finished.pdf)),
    ...[finished.said ?? []].flat().map((sentence) => make("p", {}, sentence)),
    finished.training ? make("p", {}, t("training_at"), " ", make("code", {}, finished.training)) : null);
}
