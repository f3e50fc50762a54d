// Pointers over the viewer: mouse, pen and fingers; two fingers zoom and move with every tool.

import { camera, toPhoto } from "./camera.js";
import { crackAt } from "./drawing.js";
import { find, perFrame } from "./element.js";
import { crack, set, state, tell } from "./state.js";
import * as tools from "./tools.js";
import { goTo, pan, showTip, zoom } from "./viewer.js";

const fingers = new Map(); // id → [x, y] on the stage
let mode = null; // null, "pan", "tool" or "pinch"
let moved = 0, spaceHeld = false;

export function startPointer() {
  const stage = find("#stage");
  const listen = (name, call, options) => stage.addEventListener(name, call, options);
  listen("pointerdown", down);
  listen("pointermove", move);
  listen("pointerup", up);
  listen("pointercancel", up);
  listen("pointerleave", leave);
  listen("wheel", wheel, { passive: false });
  listen("dblclick", (event) => onPhoto(event) && state.tool === "hand" && zoom(2.5, ...place(event)));
  listen("contextmenu", (event) => onPhoto(event) && event.preventDefault());
  addEventListener("keydown", (event) => { if (event.code === "Space") spaceHeld = true; });
  addEventListener("keyup", (event) => { if (event.code === "Space") spaceHeld = false; });
}

// Whether an event is meant for the photo and not for the buttons that float over it.
const onPhoto = (event) => !event.target.closest(".options, .view-tools, .empty");

function place(event) {
  const box = find("#stage").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

const reach = (event) => (event.pointerType === "touch" ? 20 : 9) / camera.zoom;

function down(event) {
  if (!state.photo || !onPhoto(event) || event.button > 1) return;
  find("#stage").setPointerCapture(event.pointerId);
  find("#stage").focus({ preventScroll: true });
  event.preventDefault();
  fingers.set(event.pointerId, place(event));
  tools.work.byKeys = false;
  if (fingers.size === 2) {
    tools.dropStroke();
    mode = "pinch";
    return;
  }
  if (fingers.size > 2) return;
  moved = 0;
  const panning = state.tool === "hand" || event.button === 1 || spaceHeld;
  mode = panning ? "pan" : "tool";
  if (!panning) {
    tools.work.cursor = toPhoto(...place(event));
    tools.press(toPhoto(...place(event)), event.altKey);
  }
}

function move(event) {
  if (!state.photo) return;
  const at = place(event), before = fingers.get(event.pointerId);
  if (!before) {
    if (onPhoto(event)) hover(event, at);
    else leave();
    return;
  }
  fingers.set(event.pointerId, at);
  moved += Math.hypot(at[0] - before[0], at[1] - before[1]);
  if (mode === "pinch") pinch(event.pointerId, before, at);
  else if (mode === "pan" && moved > 4) {
    find("#stage").dataset.drag = "";
    showTip(null);
    pan(at[0] - before[0], at[1] - before[1]);
  } else if (mode === "tool") {
    // A fast hand makes several movements per frame, and all belong to the stroke.
    for (const one of event.getCoalescedEvents?.() ?? []) tools.move(toPhoto(...place(one)), event.altKey);
    tools.move(toPhoto(...at), event.altKey);
  }
}

function pinch(id, before, at) {
  const other = [...fingers].find(([key]) => key !== id)?.[1];
  if (!other) return;
  const far = (a) => Math.max(Math.hypot(a[0] - other[0], a[1] - other[1]), 1);
  pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  zoom(far(at) / far(before), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2, false);
}

function up(event) {
  if (!fingers.delete(event.pointerId)) return;
  delete find("#stage").dataset.drag;
  if (mode === "pinch") {
    if (fingers.size < 2) mode = fingers.size ? "rest" : null; // the second finger may stay a while
    return;
  }
  if (mode === "tool") {
    if (event.type === "pointercancel") tools.dropStroke();
    else tools.release();
  } else if (mode === "pan" && moved <= 4 && state.tool === "hand") {
    const hit = crackAt(toPhoto(...place(event)), reach(event));
    set("selected", "selected", hit?.id ?? null);
    if (hit) goTo(hit.id);
    if (event.pointerType === "touch") showTip(hit, ...place(event));
  }
  if (event.pointerType === "touch" && state.tool !== "hand") {
    tools.work.cursor = null;
    tell("work");
  }
  if (!fingers.size) mode = null;
}

const look = perFrame((at, far) => {
  const hit = state.photo && state.tool === "hand" ? crackAt(toPhoto(...at), far) : null;
  set("hovered", "hovered", hit?.id ?? null);
  showTip(hit && crack(hit.id), ...at);
});

function hover(event, at) {
  if (event.pointerType === "touch") return;
  tools.work.byKeys = false;
  if (state.tool !== "hand") tools.move(toPhoto(...at), event.altKey);
  look(at, reach(event));
}

function leave() {
  set("hovered", "hovered", null);
  showTip(null);
  if (!tools.work.byKeys && tools.work.cursor && !fingers.size) {
    tools.work.cursor = null;
    tell("work");
  }
}

function wheel(event) {
  if (!state.photo || event.target.closest(".options")) return;
  event.preventDefault();
  if (event.altKey && (state.tool === "paint" || state.tool === "erase")) {
    tools.resizeBrush(state.radius * (event.deltaY < 0 ? 1.15 : 1 / 1.15));
    return;
  }
  const lines = event.deltaMode === 1 ? 32 : 1;
  if (event.shiftKey) return pan(-(event.deltaY + event.deltaX) * lines, 0);
  // The wheel of a mouse goes in leaps, which are made smooth; a touchpad is smooth itself.
  const leap = Math.abs(event.deltaY * lines) >= 50;
  zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey && !leap ? 0.01 : 0.0022)), ...place(event), leap);
}
