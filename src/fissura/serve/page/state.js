// What the page knows, and who is told when it changes.

export const state = {
  desk: null, // answer of /v1/desk
  photos: [], // summaries, as /v1/photos lists them
  photo: null, // the open photo with its cracks
  selected: null, // id of the crack that is selected
  hovered: null, // id of the crack under the pointer
  tool: "hand",
  radius: 12, // of the brush, in pixels of the photo
  filter: "all",
  showMask: true,
  showLines: true,
  keepVisible: null, // a photo that the filter would hide, but that is open
};

const listeners = new Map();

// Topics: desk, photos, photo (another one), cracks (figures or statuses of the open one),
// selected, hovered, tool, work (of the tool), view, saved, reload, finished, texts.
export function on(topics, listener) {
  for (const topic of topics.split(" ")) {
    if (!listeners.has(topic)) listeners.set(topic, []);
    listeners.get(topic).push(listener);
  }
}

export function tell(topic, detail) {
  for (const listener of listeners.get(topic) ?? []) listener(detail);
}

export function set(topic, key, value) {
  if (state[key] === value) return;
  state[key] = value;
  tell(topic, value);
}

export const summary = (id) => state.photos.find((photo) => photo.id === id);
export const crack = (id) => state.photo?.cracks.find((one) => one.id === id) ?? null;

// Cracks as their numbers count: 2 before 10.
export const byLabel = (a, b) => a.label.localeCompare(b.label, "en", { numeric: true });

// A photo is judged when none of its cracks waits for a decision.
export function isJudged(photo) {
  if (photo.state !== "done") return false;
  return photo.open === undefined ? photo.verdict !== "none" : photo.open === 0;
}

export function shownPhotos() {
  return state.photos.filter((photo) => {
    if (state.filter === "all" || photo.id === state.keepVisible) return true;
    return isJudged(photo) === (state.filter === "judged");
  });
}

// What a browser lets a page keep; without it, settings last as long as the page.
function storage(where) {
  return {
    get(key) {
      try { return JSON.parse(where().getItem(`fissura.${key}`)); } catch { return null; }
    },
    set(key, value) {
      try { where().setItem(`fissura.${key}`, JSON.stringify(value)); } catch { /* refused */ }
    },
  };
}
export const kept = storage(() => localStorage); // by all pages
export const keptHere = storage(() => sessionStorage); // by this tab, reloads included
