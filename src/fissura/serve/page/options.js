// The strip over the photo: the settings of the tool in hand, and what to do next.

import { find, make } from "./element.js";
import { on, state } from "./state.js";
import { t } from "./texts.js";
import { cancel, resizeBrush, saveScale, scaleComplete, work } from "./tools.js";

let drawn = "";

export function startOptions() {
  on("tool work texts photo", update);
}

function update(detail) {
  const box = find("#options");
  const key = `${state.tool} ${work.points.length} ${scaleComplete()} ${document.documentElement.lang}`;
  box.hidden = state.tool === "hand" || !state.photo;
  find("#stage").dataset.tool = state.tool;
  if (box.hidden) { drawn = ""; return; }
  if (key !== drawn || detail === "again") {
    drawn = key;
    if (state.tool === "paint" || state.tool === "erase") brush(box);
    else if (state.tool === "line") box.replaceChildren(hint(work.points.length ? "line_on" : "line_start"));
    else scale(box);
  }
  const size = find("#brush-size");
  if (size && document.activeElement !== size) size.value = slider(state.radius);
  if (size) find("#brush-output").textContent = t("pixels", { n: Math.round(state.radius * 2) });
}

const hint = (key) => make("span", { class: "hint", role: "status" }, t(key));

// The slider is logarithmic: from 1 to 400 pixels across.
const slider = (radius) => Math.round(Math.log(radius * 2) / Math.log(400) * 100);
const fromSlider = (value) => Math.exp((value / 100) * Math.log(400)) / 2;

function brush(box) {
  const size = make("input", {
    type: "range", min: "0", max: "100", id: "brush-size", value: slider(state.radius),
    oninput: (event) => resizeBrush(fromSlider(Number(event.target.value))),
  });
  box.replaceChildren(
    make("label", {}, make("span", {}, t(state.tool === "paint" ? "paint_size" : "erase_size")), size),
    make("output", { id: "brush-output", for: "brush-size" }));
}

function scale(box) {
  const corners = state.tool === "corners";
  if (!scaleComplete()) {
    box.replaceChildren(hint(corners ? `corner_${work.points.length + 1}` : `length_${work.points.length + 1}`));
    return;
  }
  const field = (name) => make("label", {}, make("span", {}, t(name)),
    make("input", { type: "number", name, min: "0", step: "any", required: true, inputmode: "decimal" }));
  const unit = make("label", {}, make("span", { class: "unseen" }, t("unit")), make("select", { name: "unit" },
    ...[["mm", 1], ["cm", 10], ["m", 1000]].map(([name, factor]) => make("option", { value: factor }, name))));
  const form = make("form", { onsubmit: submit },
    ...(corners ? [field("wide"), field("high")] : [field("true_length")]), unit,
    make("button", { type: "submit", class: "primary" }, t("set_scale")),
    make("button", { type: "button", onclick: cancel }, t("cancel")));
  box.replaceChildren(form);
  find("input", form).focus();
}

function submit(event) {
  event.preventDefault();
  const { elements } = event.target;
  const factor = Number(elements.unit.value);
  const values = [...event.target.querySelectorAll("input")].map((input) => Number(input.value) * factor);
  if (saveScale(values)) find("#stage").focus();
  else if (!find(".error", event.target)) event.target.append(make("p", { class: "error", role: "alert" }, t("positive")));
}

