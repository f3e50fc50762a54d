// What is drawn over the photo: cracks, strokes that are not yet saved, tools at work.

import { camera, meets, seen, toScreen } from "./camera.js";
import { state } from "./state.js";
import { t } from "./texts.js";

export const MASK_COLOR = "#ff2d6f";
// The same colors as the dots of the list (panels.css); the dashes tell them apart without color.
const COLORS = { found: "#ffb000", accepted: "#3fd07f", corrected: "#5cb3ff", added: "#c59bff", rejected: "#c3c9d2" };
const DASHES = { rejected: [3, 5], found: [], accepted: [], corrected: [12, 4], added: [2, 4] };
const paths = new WeakMap(); // crack → its lines as Path2D, in pixels of the photo

function pathOf(crack) {
  let path = paths.get(crack);
  if (!path) {
    path = new Path2D();
    for (const line of crack.lines) line.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    paths.set(crack, path);
  }
  return path;
}

function inPhoto(context, ratio) {
  context.setTransform(camera.zoom * ratio, 0, 0, camera.zoom * ratio, camera.x * ratio, camera.y * ratio);
}

export function drawCracks(context, ratio) {
  const view = seen(state.photo), unit = 1 / camera.zoom;
  inPhoto(context, ratio);
  context.lineJoin = context.lineCap = "round";
  for (const crack of state.photo.cracks) {
    const marked = crack.id === state.selected || crack.id === state.hovered;
    if ((!state.showLines && !marked) || !meets(grown(crack.box, 4 * unit), view)) continue;
    const width = crack.id === state.selected ? 3.5 : marked ? 3 : 2;
    context.setLineDash([]);
    context.strokeStyle = crack.id === state.selected ? "#fff" : DASHES[crack.status].length ? "#0007" : "#000b";
    context.lineWidth = (width + (crack.id === state.selected ? 4 : 2)) * unit;
    context.stroke(pathOf(crack));
    context.setLineDash(DASHES[crack.status].map((dash) => dash * unit));
    context.strokeStyle = COLORS[crack.status];
    context.lineWidth = width * unit;
    context.stroke(pathOf(crack));
  }
  context.setLineDash([]);
  const chosen = state.photo.cracks.find((crack) => crack.id === state.selected);
  if (chosen) drawBox(context, chosen, unit);
}

const grown = ([x0, y0, x1, y1], by) => [x0 - by, y0 - by, x1 + by, y1 + by];

function drawBox(context, crack, unit) {
  const [x0, y0, x1, y1] = grown(crack.box, 10 * unit);
  context.lineWidth = 3 * unit;
  context.strokeStyle = "#0009";
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.lineWidth = 1.2 * unit;
  context.strokeStyle = "#fff";
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

// Draw strokes into the mask's canvas as the server will put them into the mask.
export function drawStrokes(context, ratio, strokes) {
  inPhoto(context, ratio);
  context.lineJoin = context.lineCap = "round";
  for (const { points, radius, erase } of strokes) {
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = context.fillStyle = MASK_COLOR;
    context.lineWidth = radius * 2;
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (points.length === 1) {
      context.arc(points[0][0], points[0][1], radius, 0, 7);
      context.fill();
    } else context.stroke();
  }
  context.globalCompositeOperation = "source-over";
}

function twice(context, draw, color = "#fff", width = 1.6) {
  context.strokeStyle = "#000c";
  context.lineWidth = width + 2;
  draw();
  context.strokeStyle = color;
  context.lineWidth = width;
  draw();
}

function trace(context, points, close = false) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  if (close) context.closePath();
  context.stroke();
}

function handle(context, [x, y]) {
  twice(context, () => { context.beginPath(); context.arc(x, y, 6, 0, 7); context.stroke(); }, "#fff", 2);
  twice(context, () => { trace(context, [[x - 2, y], [x + 2, y]]); }, "#fff", 1);
}

// Draw the tool at work: `work` has points of the photo, a preview and a cursor, all optional.
export function drawTool(context, ratio, work) {
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.lineJoin = context.lineCap = "round";
  context.setLineDash([]);
  const points = work.points.map(toScreen), cursor = work.cursor && toScreen(work.cursor);
  if (work.preview) twice(context, () => trace(context, work.preview.map(toScreen)), "#c59bff", 2.4);
  const open = cursor && points.length && points.length < work.most && !work.preview;
  if (points.length + (open ? 1 : 0) > 1) {
    const shape = open ? [...points, cursor] : points;
    context.setLineDash(open ? [6, 5] : []);
    twice(context, () => trace(context, shape, work.most === 4 && shape.length > 2));
    context.setLineDash([]);
  }
  points.forEach((point, i) => {
    handle(context, point);
    if (work.most === 4) label(context, `${i + 1}`, point);
  });
  if (!cursor) return;
  if (work.radius) {
    const radius = Math.max(work.radius * camera.zoom, 1.5);
    twice(context, () => { context.beginPath(); context.arc(...cursor, radius, 0, 7); context.stroke(); }, work.erase ? "#fff" : "#ff86ad");
  } else if (work.byKeys) {
    const [x, y] = cursor;
    twice(context, () => { trace(context, [[x - 12, y], [x + 12, y]]); trace(context, [[x, y - 12], [x, y + 12]]); });
  }
}

function label(context, text, [x, y]) {
  context.font = "600 13px system-ui, sans-serif";
  context.lineWidth = 3;
  context.strokeStyle = "#000c";
  context.strokeText(text, x + 9, y - 9);
  context.fillStyle = "#fff";
  context.fillText(text, x + 9, y - 9);
}

// The crack whose center line is nearest to a point of the photo, within a reach, or null.
export function crackAt([x, y], reach) {
  let best = null, least = reach * reach;
  for (const crack of state.photo?.cracks ?? []) {
    const [x0, y0, x1, y1] = grown(crack.box, reach);
    if (x < x0 || x > x1 || y < y0 || y > y1) continue;
    for (const line of crack.lines) {
      for (let i = 0; i < line.length; i++) {
        const far = distance(x, y, line[Math.max(i - 1, 0)], line[i]);
        if (far < least) { least = far; best = crack; }
      }
    }
  }
  return best;
}

function distance(x, y, [ax, ay], [bx, by]) {
  const dx = bx - ax, dy = by - ay, size = dx * dx + dy * dy;
  const along = size ? Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / size, 0), 1) : 0;
  return (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2;
}

export const statusText = (crack) => t(`status_${crack.status}`);
