// The viewer: three canvases (photo, mask, marks) that are drawn again when something changed.

import { camera, fit, panBy, seen, showBox, step, toPhoto, toScreen, zoomBy } from "./camera.js";
import { drawCracks, drawStrokes, drawTool, MASK_COLOR, statusText } from "./drawing.js";
import { strokesOf } from "./edits.js";
import { find, make } from "./element.js";
import { crack, on, set, state } from "./state.js";
import { length, number, t } from "./texts.js";
import { Pyramid } from "./tiles.js";
import { work } from "./tools.js";

const layers = {};
const dirty = { image: true, mask: true, marks: true };
let photoTiles = null, maskTiles = null, asked = false, fitted = true;

export function startViewer() {
  for (const name of ["image", "mask", "marks"]) layers[name] = find(`#${name}`).getContext("2d");
  new ResizeObserver(resize).observe(find("#stage"));
  on("photo", open);
  on("cracks selected hovered", () => redraw("marks"));
  on("view", () => { find("#mask").hidden = !state.showMask; redraw(); });
  on("tool", () => redraw("marks"));
  on("hovered tool", showOver);
  resize();
}

function showOver() {
  if (state.hovered && state.tool === "hand") find("#stage").dataset.over = "crack";
  else delete find("#stage").dataset.over;
}

// Draw again with the next frame: one layer, or all of them.
export function redraw(...names) {
  for (const name of names.length ? names : Object.keys(dirty)) dirty[name] = true;
  if (!asked) requestAnimationFrame(frame);
  asked = true;
}

function resize() {
  const stage = find("#stage"), before = [camera.width, camera.height];
  camera.width = Math.max(stage.clientWidth, 1);
  camera.height = Math.max(stage.clientHeight, 1);
  for (const name of Object.keys(layers)) {
    layers[name].canvas.width = Math.round(camera.width * devicePixelRatio);
    layers[name].canvas.height = Math.round(camera.height * devicePixelRatio);
  }
  if (state.photo && fitted) fit(state.photo);
  else if (state.photo) panBy(state.photo, (camera.width - before[0]) / 2, (camera.height - before[1]) / 2);
  redraw();
}

function open(photo) {
  photoTiles?.close();
  maskTiles?.close();
  photoTiles = maskTiles = null;
  if (photo) {
    photoTiles = new Pyramid(photo, "image", () => redraw("image"));
    if (photo.state === "done") maskTiles = new Pyramid(photo, "mask", () => redraw("mask"));
    if (photo.fresh) { fit(photo); fitted = true; }
  }
  redraw();
}

function frame() {
  asked = false;
  const moving = step(state.photo);
  const { photo } = state, ratio = devicePixelRatio;
  if (moving) dirty.image = dirty.mask = dirty.marks = true;
  if (dirty.image) {
    wipe(layers.image);
    layers.image.imageSmoothingEnabled = camera.zoom * ratio < 3; // pixels are shown as such
    if (photoTiles) photoTiles.draw(layers.image);
    find("#zoom").textContent = photo ? `${number(Math.round(camera.zoom * 100))} %` : "";
  }
  if (dirty.mask) {
    wipe(layers.mask);
    layers.mask.imageSmoothingEnabled = camera.zoom * ratio < 1;
    if (maskTiles && state.showMask) drawMask(layers.mask, ratio);
  }
  if (dirty.marks) {
    wipe(layers.marks);
    if (photo) {
      drawCracks(layers.marks, ratio);
      if (work.stroke && work.stroke.erase) outline(layers.marks, ratio);
      drawTool(layers.marks, ratio, work.shown());
    }
  }
  dirty.image = dirty.mask = dirty.marks = false;
  if (moving) redraw();
}

function wipe(context) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
}

function drawMask(context, ratio) {
  maskTiles.draw(context);
  context.globalCompositeOperation = "source-in"; // one color, whatever the tiles have
  context.fillStyle = MASK_COLOR;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.globalCompositeOperation = "source-over";
  drawStrokes(context, ratio, [...strokesOf(state.photo.id), ...(work.stroke ? [work.stroke] : [])]);
}

// The way of the eraser, so that it is seen where there is no mask to take away.
function outline(context, ratio) {
  context.setTransform(camera.zoom * ratio, 0, 0, camera.zoom * ratio, camera.x * ratio, camera.y * ratio);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = "#ffffff38";
  context.lineWidth = work.stroke.radius * 2;
  context.beginPath();
  work.stroke.points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

// The mask of a box has changed: resolve when the new one is drawn.
export function maskChanged(photo, box, revision) {
  if (!maskTiles || state.photo?.id !== photo) return Promise.resolve();
  const area = box ?? [0, 0, state.photo.width, state.photo.height];
  maskTiles.outdate(area, revision);
  return maskTiles.ready(area).then(() => redraw("mask"));
}

export function zoom(factor, x, y, smooth = true) {
  if (!state.photo) return;
  fitted = false;
  zoomBy(state.photo, factor, x, y, smooth);
  redraw();
}

export function pan(dx, dy) {
  if (!state.photo) return;
  fitted = false;
  panBy(state.photo, dx, dy);
  redraw();
}

export function fitPhoto() {
  if (!state.photo) return;
  fit(state.photo);
  fitted = true;
  redraw();
}

export function actualSize() {
  zoom(1 / (camera.wish?.zoom ?? camera.zoom));
}

// Select a crack and, where it is not seen, go to it.
export function goTo(id, always = false) {
  const one = crack(id);
  set("selected", "selected", id);
  if (!one) return;
  const [x0, y0, x1, y1] = seen(state.photo), [a, b, c, d] = one.box;
  const visible = a >= x0 && b >= y0 && c <= x1 && d <= y1;
  const tiny = Math.max(c - a, d - b) * camera.zoom < 24;
  if (!always && visible && !tiny) return;
  fitted = false;
  showBox(state.photo, one.box);
  redraw();
}

// Show the figures of a crack beside a place on the screen; null hides them.
export function showTip(one, x, y) {
  const tip = find("#tip");
  tip.hidden = !one;
  if (!one) return;
  tip.replaceChildren(make("b", {}, `${one.label} · ${statusText(one)}`),
    t("tip_length", { length: length(one.length, one.unit) }), make("br"),
    t("tip_width", { mean: length(one.mean_width, one.unit), most: length(one.max_width, one.unit) }));
  const left = Math.min(x + 16, camera.width - tip.offsetWidth - 6);
  const top = y + 18 + tip.offsetHeight > camera.height ? y - tip.offsetHeight - 12 : y + 18;
  tip.style.transform = `translate(${Math.max(left, 6)}px, ${Math.max(top, 6)}px)`;
}

export { toPhoto, toScreen };
