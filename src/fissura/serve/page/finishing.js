// The dialog that files the report, and the links to what was written.

import { get, post, result } from "./api.js";
import { find, make } from "./element.js";
import { refresh } from "./live.js";
import { allSaved, saved } from "./edits.js";
import { kept, on, state } from "./state.js";
import { language, t } from "./texts.js";

const FIELDS = ["title", "inspector", "object", "client"];
const DAYS = ["old_date", "new_date"];
let working = false, before = null, earlier = null; // null until the server has told

export function startFinishing() {
  const form = find("#finish-form");
  form.addEventListener("submit", (event) => { event.preventDefault(); file(form); });
  find("#earlier").addEventListener("change", drawDays);
  on("finished", () => { working = false; });
  on("desk texts photos", draw);
  on("texts", drawEarlier);
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
  lookForEarlier();
}

// The inspections that the photos can be compared with; a report that was just filed is one.
async function lookForEarlier() {
  try { earlier = await get("earlier"); } catch { earlier ??= []; }
  drawEarlier();
}

function drawEarlier() {
  const select = find("#earlier"), chosen = select.value, found = earlier ?? [];
  const day = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone: "UTC" });
  const told = (one) => [one.own ? t("own_report", { name: one.name }) : one.name,
    t("earlier_photos", { n: one.photos }), day.format(new Date(one.day))].join(" · ");
  select.replaceChildren(make("option", { value: "" }, t("compare_none")),
    ...found.map((one) => make("option", { value: one.id }, told(one))));
  select.value = found.some((one) => one.id === chosen) ? chosen : "";
  select.disabled = !found.length;
  find("#earlier-none").hidden = earlier === null || found.length > 0;
  drawDays();
}

function drawDays() {
  find("#days").hidden = !find("#earlier").value;
}

const stillRunning = () => state.photos.filter((photo) => photo.state === "queued" || photo.state === "running").length;

async function file(form) {
  const values = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
  kept.set("finish", { ...values, title: "" });
  const body = { pdf: form.elements.pdf.checked, training: form.elements.training.checked };
  for (const name of FIELDS) if (values[name]) body[name] = values[name];
  if (form.elements.earlier.value) {
    for (const name of ["earlier", ...DAYS]) if (form.elements[name].value) body[name] = form.elements[name].value;
  }
  find("#finish-error").hidden = true;
  before = JSON.stringify(state.desk?.finished ?? null);
  working = true;
  draw();
  if (!await allSaved()) return fail(t("finish_unsaved", { n: saved.waiting }));
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
    make("ul", {}, link("open_report", finished.report), link("open_pdf", finished.pdf),
      link("open_comparison", finished.comparison)),
    ...[finished.said ?? [], finished.compared ?? []].flat().map((sentence) => make("p", {}, sentence)),
    finished.training ? make("p", {}, t("training_at"), " ", make("code", {}, finished.training)) : null);
}
