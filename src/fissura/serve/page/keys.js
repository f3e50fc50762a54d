// What the page can do: each command with its keys, for the keyboard, the buttons and the help.

import { camera, toPhoto } from "./camera.js";
import { redo, undo } from "./edits.js";
import { all, find, make } from "./element.js";
import { openFinish } from "./finishing.js";
import { draw, judge } from "./panel.js";
import { neighbor } from "./photos.js";
import { kept, on, set, state, tell } from "./state.js";
import { applyTexts, t } from "./texts.js";
import { showTab } from "./tabs.js";
import * as tools from "./tools.js";
import { actualSize, fitPhoto, goTo, pan, zoom } from "./viewer.js";

const MAC = /Mac|iP(hone|ad)/.test(navigator.platform);
const toggle = (key) => { state[key] = !state[key]; tell("view"); };
// Arrows and Enter belong to the photo as soon as a tool is in hand.
const take = (tool) => { tools.chooseTool(tool); find("#stage").focus({ preventScroll: true }); };
const focusOn = (selector) => { showTab("panel"); draw(); find(selector)?.focus(); };

// name → [group, keys, action]; the first key is the one that is shown. "Mod" is Ctrl or ⌘.
const COMMANDS = {
  previous: ["photos", ["PageUp", "k"], () => neighbor(-1)],
  next: ["photos", ["PageDown", "j"], () => neighbor(1)],
  add: ["photos", ["o"], () => find("#files").click()],
  finish: ["photos", ["f"], openFinish],
  crack_before: ["cracks_group", [","], () => nextCrack(-1)],
  crack_after: ["cracks_group", ["."], () => nextCrack(1)],
  accept: ["cracks_group", ["a"], () => judge("accepted")],
  reject: ["cracks_group", ["x"], () => judge("rejected")],
  note: ["cracks_group", ["n"], () => focusOn(state.selected ? "[name=crack-note]" : "#photo-note")],
  class: ["cracks_group", ["c"], () => focusOn("#crack-class")],
  hand: ["tools", ["v"], () => take("hand")],
  paint: ["tools", ["b"], () => take("paint")],
  erase: ["tools", ["e"], () => take("erase")],
  line: ["tools", ["l"], () => take("line")],
  length: ["tools", ["s"], () => take("length")],
  corners: ["tools", ["r"], () => take("corners")],
  smaller: ["tools", ["["], () => tools.resizeBrush(state.radius / 1.25)],
  larger: ["tools", ["]"], () => tools.resizeBrush(state.radius * 1.25 + 0.3)],
  undo: ["tools", ["Mod+z"], undo],
  redo: ["tools", ["Mod+Shift+z", "Mod+y"], redo],
  zoom_in: ["view", ["+", "="], () => zoom(1.5)],
  zoom_out: ["view", ["-"], () => zoom(1 / 1.5)],
  fit: ["view", ["0"], fitPhoto],
  actual: ["view", ["1"], actualSize],
  mask: ["view", ["h"], () => toggle("showMask")],
  lines: ["view", ["g"], () => toggle("showLines")],
  to_photo: ["view", ["w"], () => find("#stage").focus()],
  help: ["view", ["?"], openHelp],
};
const HELD = [["keys_arrows", "← ↑ → ↓"], ["keys_set", "Enter"], ["keys_cancel", "Esc"]];

export function startKeys() {
  for (const button of all("[data-command]")) {
    const keys = COMMANDS[button.dataset.command][1];
    button.dataset.key = shown(keys[0]);
    button.setAttribute("aria-keyshortcuts", keys.map((key) => key.replace("Mod", MAC ? "Meta" : "Control")).join(" "));
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") !== "true") COMMANDS[button.dataset.command][2]();
    });
  }
  for (const dialog of all("dialog")) {
    for (const button of all("[data-close]", dialog)) button.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }
  const single = find("#single-keys");
  single.checked = kept.get("single-keys") ?? true;
  single.addEventListener("change", () => kept.set("single-keys", single.checked));
  addEventListener("keydown", press);
  find("#tools").addEventListener("keydown", along);
  on("tool view photo cracks photos", drawButtons);
}

const shown = (key) => key.replace("Mod", MAC ? "⌘" : t("key_ctrl")).replace("Shift", t("key_shift"))
  .replace("PageUp", t("key_up")).replace("PageDown", t("key_down")).replace(/\b[a-z]$/, (letter) => letter.toUpperCase());

function drawButtons() {
  const off = state.photo?.state !== "done";
  for (const button of all("#tools [data-command]")) {
    const name = button.dataset.command;
    const disabled = name === "undo" ? !state.photo?.can_undo : name === "redo" ? !state.photo?.can_redo : off && name !== "hand";
    button.setAttribute("aria-disabled", disabled);
    if (name !== "undo" && name !== "redo") button.setAttribute("aria-pressed", state.tool === name);
    button.tabIndex = state.tool === name ? 0 : -1;
  }
  find("[data-command=mask]").setAttribute("aria-pressed", state.showMask);
  find("[data-command=lines]").setAttribute("aria-pressed", state.showLines);
  find("[data-command=finish]").disabled = !state.photos.length;
}

// Arrows move along the buttons of the toolbar, which is one stop of the Tab key.
function along(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const buttons = all("#tools button");
  buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length).focus();
  event.preventDefault();
  event.stopPropagation();
}

function press(event) {
  if (find("dialog[open]") || event.isComposing) return;
  const typing = event.target.closest("input:not([type=radio], [type=checkbox], [type=range]), textarea, select");
  if (event.key === "Escape") return escape(typing);
  if (typing) return;
  if (event.target.id === "stage" && onStage(event)) return void event.preventDefault();
  const mod = event.ctrlKey || event.metaKey;
  const key = (mod ? "Mod+" : "") + (mod && event.shiftKey ? "Shift+" : "") + (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  if (event.altKey || (!mod && key.length === 1 && !find("#single-keys").checked)) return;
  const command = Object.values(COMMANDS).find(([, keys]) => keys.includes(key));
  if (!command) return;
  event.preventDefault();
  command[2]();
}

function escape(typing) {
  if (typing) find("#stage").focus();
  if (state.tool !== "hand") tools.cancel();
  else if (!typing) set("selected", "selected", null);
}

// The keys of the photo itself: with a tool, arrows move its cursor and Enter sets points.
function onStage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (state.tool === "hand") {
    if (way) pan(-way[0] * 80, -way[1] * 80);
    return Boolean(way);
  }
  const { work } = tools;
  if (way) {
    const far = (event.shiftKey ? 1 : 10) / camera.zoom;
    const [x, y] = work.cursor ?? toPhoto(camera.width / 2, camera.height / 2);
    work.byKeys = true;
    tools.move([x + way[0] * far, y + way[1] * far]);
    follow();
    return true;
  }
  if (event.key === " ") return true; // held, it moves the photo
  if (event.key !== "Enter") return false;
  work.cursor ??= toPhoto(camera.width / 2, camera.height / 2);
  work.byKeys = true;
  if (work.stroke) tools.release();
  else {
    tools.press(work.cursor);
    if (!work.stroke) tools.release();
  }
  return true;
}

function follow() {
  const [x, y] = [tools.work.cursor[0] * camera.zoom + camera.x, tools.work.cursor[1] * camera.zoom + camera.y];
  const over = (at, most) => Math.min(at - 30, 0) || Math.max(at - most + 30, 0);
  const dx = over(x, camera.width), dy = over(y, camera.height);
  if (dx || dy) pan(-dx, -dy);
}

function nextCrack(step) {
  const cracks = state.photo?.cracks ?? [];
  if (!cracks.length) return;
  const at = cracks.findIndex((one) => one.id === state.selected);
  goTo(cracks[at < 0 ? (step > 0 ? 0 : cracks.length - 1) : (at + step + cracks.length) % cracks.length].id);
}

function openHelp() {
  const groups = new Map();
  for (const [name, [group, keys]] of Object.entries(COMMANDS)) {
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push([name, keys[0]]);
  }
  find("#keys").replaceChildren(...[...groups].map(([group, rows]) => make("section", {}, make("h3", {}, t(group)),
    make("dl", {}, ...rows.flatMap(([name, key]) => [make("dt", {}, t(name)), make("dd", {}, make("kbd", {}, shown(key)))]),
      ...(group === "tools" ? HELD.flatMap(([name, key]) => [make("dt", {}, t(name)), make("dd", {}, make("kbd", {}, key))]) : [])))));
  applyTexts(find("#help"));
  find("#help").showModal();
}

export function labelKeys() {
  for (const button of all("[data-command]")) button.dataset.key = shown(COMMANDS[button.dataset.command][1][0]);
}
