// The tools: brush, line and scale. A press, a move and a release come from the pointer or from
// the keyboard and mean the same.

import { camera } from "./camera.js";
import { photoPath, post } from "./api.js";
import { edit } from "./edits.js";
import { on, set, state, tell } from "./state.js";
import { say } from "./say.js";
import { t } from "./texts.js";

const MOST_POINTS = { line: 2, length: 2, corners: 4 };
const USUAL_WIDTH = 3; // pixels of a line where nothing tells how wide the crack is
const PATH_EVERY = 120; // milliseconds between questions for a snapped path

// What the tool is doing: a stroke of the brush, or points that were set.
export const work = {
  stroke: null, points: [], preview: null, width: null, cursor: null, byKeys: false, held: -1,
  shown() {
    const brush = state.tool === "paint" || state.tool === "erase";
    return {
      points: work.points, preview: work.preview, cursor: state.tool === "hand" ? null : work.cursor,
      most: MOST_POINTS[state.tool] ?? 0, byKeys: work.byKeys, erase: state.tool === "erase",
      radius: brush ? state.radius : 0,
    };
  },
};

export const isScale = () => state.tool === "length" || state.tool === "corners";
export const scaleComplete = () => isScale() && work.points.length === MOST_POINTS[state.tool];

export function startTools() {
  on("photo", (photo) => {
    if (photo && !photo.fresh) return; // the same one, loaded again
    clear();
    if (photo?.state !== "done") set("tool", "tool", "hand");
    tell("work");
  });
}

export function chooseTool(tool) {
  if (state.photo?.state !== "done" && tool !== "hand") return;
  clear();
  set("tool", "tool", tool);
  tell("work");
}

function clear() {
  Object.assign(work, { stroke: null, points: [], preview: null, width: null, held: -1 });
}

// Leave what was begun; where nothing was begun, leave the tool.
export function cancel() {
  const begun = work.stroke || work.points.length;
  clear();
  if (!begun) set("tool", "tool", "hand");
  tell("work");
}

const clamp = ([x, y]) => [
  Math.round(Math.min(Math.max(x, 0), state.photo.width) * 10) / 10,
  Math.round(Math.min(Math.max(y, 0), state.photo.height) * 10) / 10,
];

export function press(point, straight = false) {
  if (!state.photo) return;
  const at = clamp(point);
  if (state.tool === "paint" || state.tool === "erase") {
    work.stroke = { points: [at], radius: state.radius, erase: state.tool === "erase" };
  } else if (state.tool === "line") pressLine(at, straight);
  else if (isScale()) pressScale(at);
  tell("work");
}

export function move(point, straight = false) {
  if (!state.photo) return;
  work.cursor = point;
  const at = clamp(point);
  if (work.stroke) {
    const last = work.stroke.points.at(-1);
    const least = Math.max(work.stroke.radius * 0.15, 0.7 / camera.zoom);
    if (Math.hypot(at[0] - last[0], at[1] - last[1]) >= least) work.stroke.points.push(at);
  } else if (work.held >= 0) work.points[work.held] = at;
  else if (state.tool === "line" && work.points.length === 1) askPath(at, straight);
  tell("work");
}

export function release() {
  work.held = -1;
  if (work.stroke) {
    const { points, radius, erase } = work.stroke;
    work.stroke = null;
    edit({ kind: erase ? "erase" : "paint", points, radius });
  }
  tell("work");
}

// Forget the stroke that a second finger showed to be a pinch.
export function dropStroke() {
  work.stroke = null;
  tell("work");
}

function pressScale(at) {
  const near = work.points.findIndex(([x, y]) => Math.hypot(x - at[0], y - at[1]) * camera.zoom < 16);
  if (near >= 0) work.held = near;
  else if (work.points.length < MOST_POINTS[state.tool]) work.points.push(at);
}

// The first press sets the beginning, each further one draws the line to there and goes on.
async function pressLine(at, straight) {
  if (!work.points.length) {
    work.points = [at];
    return;
  }
  const from = work.points[0], photo = state.photo.id;
  work.points = [at];
  work.preview = null;
  const found = straight ? { points: [from, at], width: work.width } : await path(from, at);
  if (!found || state.photo?.id !== photo) return;
  edit({ kind: "line", points: found.points, width: found.width ?? USUAL_WIDTH });
}

async function path(from, to) {
  try {
    return await post(`${photoPath(state.photo.id)}/path`, { from, to });
  } catch {
    say(t("no_path"));
    return { points: [from, to], width: work.width };
  }
}

let asking = false, next = null, lastAsked = 0;

// Ask for the snapped path to where the pointer is: one question at a time, the last one counts.
async function askPath(at, straight) {
  if (straight) {
    work.preview = [work.points[0], at];
    return;
  }
  next = at;
  if (asking) return;
  asking = true;
  while (next) {
    await new Promise((go) => setTimeout(go, Math.max(lastAsked + PATH_EVERY - performance.now(), 0)));
    const to = next, from = work.points[0], photo = state.photo?.id;
    next = null;
    if (!from || state.tool !== "line") break;
    lastAsked = performance.now();
    try {
      const found = await post(`${photoPath(photo)}/path`, { from, to });
      if (work.points[0] === from && state.tool === "line" && state.photo?.id === photo) {
        work.preview = found.points;
        work.width = found.width;
        tell("work");
      }
    } catch { work.preview = null; }
  }
  asking = false;
}

// Save the scale that was drawn: lengths in millimeters. Returns false where they are missing.
export function saveScale(values) {
  if (!scaleComplete() || values.some((value) => !(value > 0))) return false;
  if (state.tool === "length") edit({ kind: "scale", points: work.points, length_mm: values[0] });
  else edit({ kind: "scale", corners: work.points, width_mm: values[0], height_mm: values[1] });
  clear();
  set("tool", "tool", "hand");
  tell("work");
  return true;
}

export function resizeBrush(radius) {
  state.radius = Math.min(Math.max(Math.round(radius * 2) / 2, 0.5), 200);
  tell("work");
}
