// What is drawn over the photo: cracks, strokes that are not yet saved, tools at work.

import { camera, meets, seen, toScreen } from "./camera.js";
import { state } from "./state.js";
import { t } from "./texts.js";

export const MASK_COLOR = "#ff2d6f";
// The same colors as the dots of the list (panels.css); the dashes tell them apart without color.
const COLORS = { found: "#ffb000", accepted: "#3fd07f", corrected: "#5cb3ff", added: "#c59bff", rejected: "#c3c9d2" };
const DASHES = { rejected: [3, 5], found: [], accepted: [], corrected: [12, 4], added: [2, 4] };
const MANY = 150; // cracks in view, from which on those of one status are drawn as one path
const paths = new WeakMap(); // crack → {level, path}: its lines, in pixels of the photo
let crowd = { cracks: null, level: null, paths: new Map() };

// Lines with as many points as the zoom shows: `level` is the power of two of a screen's pixel.
function pathOf(crack, level) {
  const known = paths.get(crack);
  if (known?.level === level) return known.path;
  const path = new Path2D(), least = 2 ** level;
  for (const line of crack.lines) {
    let [lastX, lastY] = line[0];
    path.moveTo(lastX, lastY);
    for (let i = 1; i < line.length; i++) {
      const [x, y] = line[i];
      if (i < line.length - 1 && Math.abs(x - lastX) + Math.abs(y - lastY) < least) continue;
      path.lineTo(x, y);
      [lastX, lastY] = [x, y];
    }
  }
  paths.set(crack, { level, path });
  return path;
}

// All cracks of each status as one path, kept until a crack or the level changes.
function crowded(level) {
  const { cracks } = state.photo;
  if (crowd.cracks !== cracks || crowd.level !== level) {
    crowd = { cracks, level, paths: new Map() };
    for (const crack of cracks) {
      if (!crowd.paths.has(crack.status)) crowd.paths.set(crack.status, new Path2D());
      crowd.paths.get(crack.status).addPath(pathOf(crack, level));
    }
  }
  return crowd.paths;
}

function inPhoto(context, ratio) {
  context.setTransform(camera.zoom * ratio, 0, 0, camera.zoom * ratio, camera.x * ratio, camera.y * ratio);
}

export function drawCracks(context, ratio) {
  const view = seen(state.photo), unit = 1 / camera.zoom, level = Math.floor(Math.log2(unit));
  const marked = (crack) => crack.id === state.selected || crack.id === state.hovered;
  const inView = state.photo.cracks.filter((crack) => meets(grown(crack.box, 4 * unit), view));
  inPhoto(context, ratio);
  context.lineJoin = context.lineCap = "round";
  if (state.showLines && inView.length > MANY) {
    context.lineJoin = "bevel";
    context.lineCap = "butt";
    for (const [status, path] of crowded(level)) outlined(context, path, status, 2, unit);
  } else if (state.showLines) {
    for (const crack of inView) if (!marked(crack)) outlined(context, pathOf(crack, level), crack.status, 2, unit);
  }
  context.lineJoin = context.lineCap = "round";
  for (const crack of inView.filter(marked)) {
    const chosen = crack.id === state.selected;
    outlined(context, pathOf(crack, level), crack.status, chosen ? 3.5 : 3, unit, chosen ? "#fff" : null);
    if (chosen) drawBox(context, crack, unit);
  }
}

function outlined(context, path, status, width, unit, edge = null) {
  context.setLineDash([]);
  context.strokeStyle = edge ?? (DASHES[status].length ? "#0007" : "#000b");
  context.lineWidth = (width + (edge ? 4 : 2)) * unit;
  context.stroke(path);
  context.setLineDash(DASHES[status].map((dash) => dash * unit));
  context.strokeStyle = COLORS[status];
  context.lineWidth = width * unit;
  context.stroke(path);
  context.setLineDash([]);
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
  const end = work.preview && toScreen(work.preview.at(-1));
  if (end && cursor && Math.hypot(end[0] - cursor[0], end[1] - cursor[1]) > 8) { // the way is late
    context.setLineDash([6, 5]);
    twice(context, () => trace(context, [end, cursor]));
    context.setLineDash([]);
  }
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
