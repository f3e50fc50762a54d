// Edits: shown at once, sent one after the other, called saved only after the server said so.
// What could not be sent is kept, in the storage of the browser's tab too, and tried again.

import { get, Lost, photoPath, post, Refusal } from "./api.js";
import { clearNotice, notice, say } from "./say.js";
import { byLabel, keptHere, state, summary, tell } from "./state.js";
import { t } from "./texts.js";

let queue = []; // {photo, kind: "edits" | "undo" | "redo", body, number}
let settling = []; // strokes that are saved while their mask is still being loaded
let busy = false, wait = 0, timer = null, count = 0;
let maskChanged = () => Promise.resolve(); // the viewer's
const revisions = new Map();

export const saved = { state: "none", waiting: 0 };

export function startEdits(onMask) {
  maskChanged = onMask;
  addEventListener("online", retry);
  addEventListener("beforeunload", (event) => { if (queue.length) event.preventDefault(); });
}

// Take up what was not sent before the page was loaded again, for photos that are the same.
export function resumeEdits() {
  const left = keptHere.get("edits");
  if (!left || left.desk !== state.desk?.name || queue.length) return;
  queue = left.edits.filter((item) => summary(item.photo)?.name === item.name)
    .map((item) => ({ ...item, number: ++count, uncertain: true }));
  if (state.photo) applyWaiting(state.photo);
  if (queue.length) tell("cracks");
  pump();
}

function show(now) {
  saved.waiting = queue.length;
  saved.state = now;
  keptHere.set("edits", { desk: state.desk?.name, edits: queue.map(({ photo, kind, body, base }) => (
    { photo, name: summary(photo)?.name, kind, body, base })) });
  tell("saved", saved);
}

// Make one edit of the open photo.
export function edit(body) {
  add("edits", body);
}

export function undo() {
  const last = queue.at(-1);
  if (last && last.photo === state.photo?.id && last.kind === "edits" && !last.sent) {
    queue.pop(); // it never left
    restore(last.photo);
    return;
  }
  if (state.photo?.can_undo || last?.photo === state.photo?.id) add("undo", {});
}

export function redo() {
  if (state.photo?.can_redo) add("redo", {});
}

function add(kind, body) {
  if (state.photo?.state !== "done") return;
  const item = { photo: state.photo.id, kind, body, number: ++count };
  queue.push(item);
  apply(state.photo, item);
  show(saved.state === "lost" ? "lost" : "saving");
  tell("cracks");
  pump();
}

// Show an edit before the server knows of it, as far as the page can tell what it does.
function apply(photo, { kind, body }) {
  if (kind === "edits") { photo.can_undo = true; photo.can_redo = false; }
  const change = (id, values) => {
    photo.cracks = photo.cracks.map((crack) => (crack.id === id ? { ...crack, ...values } : crack));
  };
  if (body.kind === "status") {
    for (const id of body.cracks ?? [body.crack]) change(id, { status: body.status });
  } else if (body.kind === "class") change(body.crack, { class: body.class });
  else if (body.kind === "note" && body.crack) change(body.crack, { note: body.text });
  else if (body.kind === "note") photo.note = body.text;
}

// Apply what waits for an answer to a photo that came from the server.
export function applyWaiting(photo) {
  for (const item of queue) if (item.photo === photo.id) apply(photo, item);
  return photo;
}

// The strokes of a photo that its mask doesn't show yet.
export function strokesOf(photo) {
  const drawn = [...settling, ...queue].filter((item) => item.photo === photo && item.kind === "edits");
  return drawn.flatMap(({ body }) => {
    if (body.kind === "paint" || body.kind === "erase") return [{ ...body, erase: body.kind === "erase" }];
    return body.kind === "line" ? [{ points: body.points, radius: (body.width ?? 3) / 2, erase: false }] : [];
  });
}

export const latestRevision = (photo) => revisions.get(photo) ?? -1;
export const isWaiting = (photo) => queue.some((item) => item.photo === photo);

// Whether all edits are saved, after waiting for those that are on their way.
export async function allSaved(patience = 15000) {
  for (const end = Date.now() + patience; saved.state === "saving" && Date.now() < end;) {
    await new Promise((go) => setTimeout(go, 50));
  }
  return !queue.length;
}

async function pump() {
  if (busy || !queue.length) return;
  busy = true;
  clearTimeout(timer);
  const item = queue[0];
  item.sent = true;
  try {
    await send(item);
    wait = 0;
    if (saved.state === "lost") { clearNotice(); say(t("server_back")); }
    if (queue[0] === item) queue.shift();
    show(queue.length ? "saving" : "saved");
  } catch (error) {
    item.uncertain ||= error instanceof Lost;
    fail(item, error);
  }
  busy = false;
  if (queue.length && !wait) pump();
  else if (queue.length) timer = setTimeout(pump, wait);
}

export function retry() {
  wait = 0;
  clearTimeout(timer);
  pump();
}

async function send(item) {
  if (!revisions.has(item.photo)) note(await get(photoPath(item.photo)));
  const base_revision = item.base ?? revisions.get(item.photo);
  item.base = base_revision; // a second try asks for the same, so that it can't be done twice
  const answer = await post(`${photoPath(item.photo)}/${item.kind}`, { ...item.body, base_revision });
  note({ id: item.photo, revision: answer.revision });
  take(item, answer);
}

// Remember the revision of a photo that the server told.
export function note({ id, revision }) {
  if (revision >= latestRevision(id)) revisions.set(id, revision);
}

function take(item, answer) {
  const one = summary(item.photo);
  for (const key of ["verdict", "reasons", "open", "mm_per_pixel", "note"]) {
    if (one && answer[key] !== undefined) one[key] = answer[key];
  }
  settling.push(item);
  maskChanged(item.photo, answer.dirty, answer.revision).then(() => {
    settling = settling.filter((other) => other !== item);
  });
  const { photo } = state;
  if (photo?.id === item.photo) {
    const changed = new Map(answer.cracks.map((crack) => [crack.id, crack]));
    const gone = new Set(answer.removed);
    const old = photo.cracks.filter((crack) => !gone.has(crack.id) && !changed.has(crack.id));
    photo.cracks = [...old, ...changed.values()].sort(byLabel);
    for (const key of ["revision", "verdict", "reasons", "can_undo", "can_redo", "mm_per_pixel", "note"]) {
      if (answer[key] !== undefined) photo[key] = answer[key];
    }
    if (one) one.cracks = photo.cracks.filter((crack) => crack.status !== "rejected").length;
    queue.filter((other) => other !== item && other.photo === photo.id).forEach((other) => apply(photo, other));
    if (item.body.kind === "scale") tell("scaled", item.body);
    tell("cracks");
  }
  tell("photos");
}

function fail(item, error) {
  if (error instanceof Lost || (error.status === 429 && error.retryAfter)) {
    wait = error.retryAfter ? error.retryAfter * 1000 : Math.min(Math.max(wait * 2, 1000), 15000);
    show("lost");
    notice("fail", t("server_lost", { n: queue.length }), [["try_now", retry]]);
    return;
  }
  queue.shift();
  if (error instanceof Refusal && error.status === 409) conflict(item);
  else if (error instanceof Refusal && (error.status === 401 || error.status === 403)) {
    queue.unshift(item);
    wait = 15000;
    show("lost");
    notice("fail", t("no_access"), [["try_now", retry]]);
    return;
  } else {
    say(t("refused", { why: error.message }), 9);
    restore(item.photo);
  }
  show(queue.length ? "saving" : "saved");
}

// Somebody else changed the photo, or an answer was lost on its way: the photo is loaded again.
function conflict(item) {
  revisions.delete(item.photo);
  if (item.uncertain) { // it may have been done already: don't do it twice
    for (const other of queue) if (other.photo === item.photo) delete other.base;
    notice("warn", t("perhaps_saved"), [
      ["apply_again", () => again([item])], ["understood", () => {}]]);
  } else {
    const lost = [item, ...queue.filter((other) => other.photo === item.photo)];
    queue = queue.filter((other) => other.photo !== item.photo);
    notice("warn", t("changed_elsewhere", { n: lost.length }), [
      ["apply_again", () => again(lost)], ["discard", () => {}]]);
  }
  restore(item.photo);
}

function again(items) {
  for (const { photo, kind, body } of items) queue.push({ photo, kind, body, number: ++count });
  if (state.photo) applyWaiting(state.photo);
  show("saving");
  tell("cracks");
  pump();
}

// Show the photo as the server has it, and what waits on top of it.
function restore(photo) {
  show(queue.length ? "saving" : "saved");
  if (state.photo?.id === photo) tell("reload", photo);
}
