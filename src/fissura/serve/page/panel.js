// The findings of the open photo: verdict, scale, note, and its cracks, one of them in detail.

import { edit } from "./edits.js";
import { find, icon, make, perFrame } from "./element.js";
import { crack, on, set, state } from "./state.js";
import { historySection } from "./history.js";
import { length, number, t } from "./texts.js";
import { badge, doubt } from "./photos.js";
import { chooseTool } from "./tools.js";
import { goTo } from "./viewer.js";

const FIRST = 150; // rows that are shown at once
let most = FIRST, parts = null, held = false;
let lastScale = null; // millimeters per pixel that were set last, on whichever photo

export function startPanel() {
  on("photo", (photo) => { if (!photo || photo.fresh) { most = FIRST; parts = null; } });
  on("photo cracks selected texts photos scaled", perFrame(draw));
  on("scaled", (body) => { if (!body.corners) lastScale = state.photo.mm_per_pixel; });
  // While a button is held down nothing is drawn again, or its click would be lost.
  find("#panel").addEventListener("pointerdown", () => { held = true; });
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, () => { if (held) setTimeout(() => { held = false; draw(); }); });
  }
  on("texts", () => { parts = null; });
  on("hovered", () => {
    for (const item of document.querySelectorAll(".cracks li")) item.classList.toggle("hovered", item.dataset.crack === state.hovered);
  });
}

// At once, for what comes next means what is drawn: a field of the crack that is selected now.
export function draw() {
  if (held) return;
  const panel = find("#panel"), { photo } = state;
  if (!photo) {
    panel.replaceChildren(make("section", {}, make("p", { class: "faint" }, t("no_photo_open"))));
    parts = null;
    return;
  }
  if (!parts || parts.id !== photo.id || !panel.contains(parts.cracks)) {
    parts = { id: photo.id, verdict: make("section"), scale: make("section"), cracks: make("section", { class: "crack-part" }), note: noteSection(photo) };
    panel.replaceChildren(parts.verdict, parts.cracks, parts.scale, parts.note, historySection());
  }
  const field = find("textarea", parts.note);
  if (document.activeElement !== field) field.value = photo.note ?? "";
  fill(parts.verdict, verdict(photo));
  fill(parts.scale, scale(photo));
  fill(parts.cracks, cracks(photo));
}

// Replace what a section holds, unless its user is typing there; the focus stays on what has
// the same name.
function fill(section, content) {
  const active = section.contains(document.activeElement) ? document.activeElement : null;
  if (active?.matches("input:not([type=checkbox]), textarea") && "keep" in active.dataset) return;
  const name = active?.dataset.focus;
  section.replaceChildren(...content.filter(Boolean));
  if (name) find(`[data-focus="${CSS.escape(name)}"]`, section)?.focus({ preventScroll: true });
}

function verdict(photo) {
  const reasons = photo.reasons ?? [];
  const list = (texts) => make("ul", { class: `reasons ${photo.verdict}` }, ...texts.map((text) => make("li", {}, text)));
  return [
    make("div", { class: "head" }, make("h3", {}, t("verdict")), badge(photo) ?? make("span", { class: "faint" },
      t(photo.state === "done" ? "verdict_none" : `state_${photo.state}`)), doubt(photo)),
    doubt(photo) ? make("p", { class: "faint doubted" }, t("unfamiliar_hint")) : null,
    reasons.length ? list(reasons.slice(0, 3)) : null,
    reasons.length > 3 ? make("details", {}, make("summary", {}, t("more_reasons", { n: reasons.length - 3 })), list(reasons.slice(3))) : null,
  ];
}

function scale(photo) {
  const known = photo.mm_per_pixel;
  const off = photo.state !== "done";
  const input = make("input", { type: "number", min: "0", step: "any", name: "mm_per_pixel", inputmode: "decimal",
    value: known ? String(Number(known.toPrecision(6))) : "", "data-focus": "scale", "data-keep": true });
  const form = make("form", { class: "number-form", onsubmit: (event) => {
    event.preventDefault();
    if (!(Number(input.value) > 0)) return void input.focus();
    delete input.dataset.keep;
    edit({ kind: "scale", mm_per_pixel: Number(input.value) });
  } }, make("label", {}, make("span", {}, t("mm_per_pixel")), input), make("button", { type: "submit", disabled: off }, t("set_scale")));
  const tool = (name) => make("button", { type: "button", class: "small", disabled: off, onclick: () => { chooseTool(name); find("#stage").focus(); } }, icon(name), t(`scale_${name}`));
  return [
    make("h3", {}, t("scale")),
    make("p", { class: "scale-line" }, make("strong", {}, known ? t("scale_known", { value: number(Number(known.toPrecision(4)), undefined) }) : t("scale_unknown"))),
    make("div", { class: "choices" }, tool("length"), tool("corners")), form,
    lastScale && !known && !off ? make("button", { type: "button", class: "link", "data-focus": "same-scale",
      onclick: () => edit({ kind: "scale", mm_per_pixel: lastScale }) },
    t("scale_as_before", { value: number(Number(lastScale.toPrecision(4)), undefined) })) : null,
  ];
}

function noteSection(photo) {
  const field = make("textarea", { id: "photo-note", rows: 2, value: photo.note ?? "", onchange: () => edit({ kind: "note", text: field.value }) });
  return make("section", {}, make("label", {}, make("span", {}, t("photo_note")), field));
}

function cracks(photo) {
  if (photo.state !== "done") return [];
  const open = photo.cracks.filter((one) => one.status === "found");
  const shown = photo.cracks.slice(0, most);
  if (state.selected && !shown.some((one) => one.id === state.selected)) shown.push(...photo.cracks.filter((one) => one.id === state.selected));
  return [
    make("div", { class: "head" }, make("h3", {}, t("cracks", { n: photo.cracks.filter((one) => one.status !== "rejected").length })),
      open.length ? make("span", { class: "faint" }, t("open", { n: open.length })) : null,
      open.length > 1 ? make("button", { type: "button", class: "link", "data-focus": "accept-all", onclick: () => acceptAll(open) }, t("accept_all")) : null),
    photo.cracks.length ? make("ul", { class: "cracks" }, ...shown.map((one) => crackRow(one, photo)))
      : make("p", { class: "faint" }, t("no_cracks")),
    photo.cracks.length > most ? make("button", { type: "button", class: "link", onclick: () => { most += 1000; draw(); } },
      t("show_more", { n: photo.cracks.length - most })) : null,
  ];
}

export function acceptAll(open) {
  edit({ kind: "status", cracks: open.map((one) => one.id), status: "accepted" });
}

function crackRow(one) {
  const chosen = one.id === state.selected;
  const label = `${one.label} · ${t(`status_${one.status}`)}`;
  const row = make("button", {
    type: "button", class: "row", "aria-expanded": chosen, "data-focus": `crack-${one.id}`,
    onclick: () => (chosen ? set("selected", "selected", null) : goTo(one.id)),
    onpointerenter: () => set("hovered", "hovered", one.id), onpointerleave: () => set("hovered", "hovered", null),
  }, make("span", { class: `dot ${one.status}`, "aria-hidden": true }), make("span", { class: "what" }, label),
  make("span", { class: "figures" }, `${length(one.length, one.unit)} × ${length(one.max_width, one.unit)}`));
  const item = make("li", { class: one.status, "data-crack": one.id, "aria-current": chosen }, row, chosen ? detail(one) : null);
  if (chosen) requestAnimationFrame(() => item.scrollIntoView?.({ block: "nearest" }));
  return item;
}

function detail(one) {
  const figure = (name, value) => [make("dt", {}, t(name)), make("dd", {}, value)];
  const choice = (status, name) => make("button", {
    type: "button", class: name, "aria-pressed": one.status === status, "data-focus": name, onclick: () => judge(status),
  }, icon(name === "accept" ? "check" : "cross"), t(name));
  const note = make("input", { name: "crack-note", value: one.note ?? "", maxlength: 500, "data-focus": "note", "data-keep": true,
    onchange: () => { delete note.dataset.keep; edit({ kind: "note", crack: one.id, text: note.value }); } });
  return make("div", { class: "detail" },
    make("dl", { class: "figures-list" }, figure("length_figure", length(one.length, one.unit)),
      figure("mean_width", length(one.mean_width, one.unit)), figure("max_width", length(one.max_width, one.unit)),
      one.angle === null || one.angle === undefined ? [] : figure("angle", `${number(Math.round(one.angle))}°`),
      one.kind ? figure("kind", one.kind) : []),
    make("div", { class: "choices" }, choice("accepted", "accept"), choice("rejected", "reject")),
    classes(one),
    make("label", {}, make("span", {}, t("crack_note")), note));
}

// Any class may be written; those that were given before are offered.
function classes(one) {
  const names = state.desk?.classes ?? [];
  const field = make("input", { id: "crack-class", list: "classes", value: one.class ?? "", maxlength: 100, autocomplete: "off",
    "data-focus": "class", "data-keep": true, onchange: () => {
      const name = field.value.trim();
      delete field.dataset.keep;
      if (name && !names.includes(name)) names.push(name);
      edit({ kind: "class", crack: one.id, class: name });
    } });
  return make("label", {}, make("span", {}, t("class")), field,
    make("datalist", { id: "classes" }, ...names.map((name) => make("option", { value: name }))));
}

// Accept or reject the selected crack; the same again takes it back.
export function judge(status) {
  const one = crack(state.selected);
  if (one) edit({ kind: "status", crack: one.id, status: one.status === status ? "found" : status });
}
