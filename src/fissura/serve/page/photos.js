// The list of photos, and the photo that is open.

import { get, photoPath, thumbnail } from "./api.js";
import { applyWaiting, isWaiting, latestRevision, note } from "./edits.js";
import { find, icon, make, perFrame } from "./element.js";
import { byLabel, isJudged, kept, on, shownPhotos, state, summary, tell } from "./state.js";
import { say } from "./say.js";
import { t } from "./texts.js";

const rows = new Map(); // id → {item, look}
let opening = 0;

export function startPhotos() {
  on("photos texts", perFrame(drawList));
  on("photo", drawBar);
  on("photos texts", drawBar);
  on("reload", (id) => open(id, false));
  for (const input of document.querySelectorAll("[name=filter]")) {
    input.addEventListener("change", () => {
      state.filter = input.value;
      state.keepVisible = null;
      tell("photos");
    });
  }
  addEventListener("hashchange", () => {
    const id = fromAddress();
    if (id && id !== state.photo?.id && summary(id)) open(id);
  });
}

const fromAddress = () => new URLSearchParams(location.hash.slice(1)).get("photo");

export async function loadPhotos() {
  state.photos = await get("photos");
  tell("photos");
  const wished = fromAddress() ?? kept.get("photo");
  if (!state.photo && state.photos.length) await open(summary(wished) ? wished : state.photos[0].id);
  else if (state.photo && isOld(summary(state.photo.id))) await open(state.photo.id, false);
}

// Whether the server knows more of the open photo than the page: of the model, or of another page.
function isOld(told) {
  return told && (told.state !== state.photo.state || (told.revision > latestRevision(told.id) && !isWaiting(told.id)));
}

// A photo's state or figures changed, or a photo came.
export function takeSummary(photo) {
  const known = summary(photo.id);
  if (known) Object.assign(known, photo);
  else if (photo.name) state.photos.push(photo);
  else return void loadPhotos();
  tell("photos");
  if (!state.photo) open(photo.id);
  else if (state.photo.id !== photo.id) return;
  else if (isOld({ state: state.photo.state, ...photo })) open(photo.id, false);
}

// Open a photo; `fresh` is false where the same one is loaded again and the view stays.
export async function open(id, fresh = true) {
  const turn = ++opening;
  let photo;
  try {
    photo = await get(photoPath(id));
  } catch (error) {
    if (turn === opening) say(t("no_photo", { why: error.message }));
    return;
  }
  if (turn !== opening) return;
  if (photo.revision < latestRevision(id)) return void open(id, fresh); // an edit was faster
  note(photo);
  fresh ||= !state.photo?.levels?.length && Boolean(photo.levels?.length);
  photo.fresh = fresh;
  photo.cracks.sort(byLabel);
  state.photo = applyWaiting(photo);
  if (fresh) Object.assign(state, { selected: null, hovered: null, keepVisible: id });
  if (state.selected && !photo.cracks.some((crack) => crack.id === state.selected)) state.selected = null;
  const known = summary(id);
  if (known) for (const key of Object.keys(known)) if (key !== "cracks" && photo[key] !== undefined) known[key] = photo[key];
  kept.set("photo", id);
  history.replaceState(null, "", `#photo=${encodeURIComponent(id)}`);
  tell("photo", photo.levels?.length ? photo : null);
  tell("cracks");
  tell("photos");
}

export function neighbor(step) {
  const photos = shownPhotos(), at = photos.findIndex((photo) => photo.id === state.photo?.id);
  const next = photos[at + step];
  if (next) open(next.id);
  else say(t(step > 0 ? "last_photo" : "first_photo"));
}

function drawBar() {
  const { photo } = state, photos = shownPhotos();
  find("#photo-name").textContent = photo?.name ?? t("no_photos_title");
  document.title = photo ? `${photo.name} – Fissura` : "Fissura";
  find("#photo-place").textContent = photo
    ? t("place", { at: photos.findIndex((one) => one.id === photo.id) + 1, of: photos.length }) : "";
  find("#photo-verdict").replaceChildren(...(photo ? [badge(summary(photo.id) ?? photo), " ", doubt(photo)] : []).filter(Boolean));
  find("#stage").setAttribute("aria-label", photo ? t("stage", { name: photo.name }) : t("no_photos_title"));
  drawEmpty(photo);
}

// What the viewer says where there is no photo with cracks to show yet.
function drawEmpty(photo) {
  const box = find("#empty");
  const waiting = photo && photo.state !== "done";
  box.hidden = Boolean(photo) && !waiting;
  if (box.hidden) return;
  if (!photo) {
    box.replaceChildren(icon("photo"), make("h3", {}, t("no_photos_title")), make("p", {}, t("no_photos")),
      make("button", { type: "button", class: "primary", onclick: () => find("#files").click() }, t("add_title")));
  } else if (photo.state === "failed") {
    box.replaceChildren(icon("warn"), make("h3", {}, t("state_failed")), make("p", {}, photo.message ?? ""));
  } else {
    box.replaceChildren(make("h3", {}, t(`state_${photo.state}`)), make("p", {}, photo.message ?? ""),
      make("progress", { "aria-label": t(`state_${photo.state}`) }));
  }
}

// A mark on photos whose findings are worth less.
export function doubt(photo) {
  return photo.unfamiliar && photo.state === "done" ? make("span", { class: "badge warning doubt", title: t("unfamiliar_hint") }, t("unfamiliar")) : null;
}

export function badge(photo) {
  if (!photo.verdict || photo.verdict === "none" || photo.state !== "done") return null;
  return make("span", { class: `badge ${photo.verdict}` }, t(`verdict_${photo.verdict}`));
}

function drawList() {
  const list = find("#photo-list"), photos = shownPhotos();
  find("#photos-count").textContent = state.photos.length ? `${photos.length}${photos.length < state.photos.length ? ` / ${state.photos.length}` : ""}` : "";
  const seen = new Set();
  const items = photos.map((photo) => { seen.add(photo.id); return row(photo); });
  for (const id of rows.keys()) if (!seen.has(id)) rows.delete(id);
  // Rows that stay are not touched, so that the focus and the scrolling stay.
  items.forEach((item, i) => { if (list.children[i] !== item) list.insertBefore(item, list.children[i] ?? null); });
  while (list.childElementCount > items.length) list.lastElementChild.remove();
  if (!items.length) list.append(make("p", {}, t(state.photos.length ? "none_in_filter" : "no_photos")));
}

function row(photo) {
  const current = photo.id === state.photo?.id;
  const look = JSON.stringify([photo, current, document.documentElement.lang]);
  let entry = rows.get(photo.id);
  if (entry?.look === look) return entry.item;
  if (!entry) {
    const button = make("button", { type: "button", onclick: () => open(photo.id) });
    entry = { item: make("li", { "data-photo": photo.id }, button), button, picture: null };
    rows.set(photo.id, entry);
  }
  entry.look = look;
  if (!entry.picture && photo.state !== "failed" && photo.width) {
    entry.picture = make("img", { class: "thumb", src: thumbnail(photo.id), alt: "", loading: "lazy", width: 76, height: 58 });
    entry.picture.addEventListener("error", () => { entry.picture = null; entry.look = ""; }, { once: true });
  }
  entry.button.setAttribute("aria-current", current);
  const picture = entry.picture ?? make("span", { class: "thumb" }, icon(photo.state === "failed" ? "warn" : "photo"));
  entry.button.replaceChildren(picture, make("span", {}, make("span", { class: "name", title: photo.name }, photo.name), about(photo)));
  if (current) entry.item.scrollIntoView?.({ block: "nearest" });
  return entry.item;
}

function about(photo) {
  if (photo.state !== "done") return make("span", { class: "about" }, t(`state_${photo.state}`));
  const judged = isJudged(photo) && photo.open !== undefined && photo.cracks > 0;
  const count = t("cracks", { n: photo.cracks });
  const left = photo.open ? ` · ${t("open", { n: photo.open })}` : "";
  const done = judged ? [icon("check"), make("span", { class: "unseen" }, t("filter_judged"))] : null;
  return make("span", {}, make("span", { class: "about" }, make("span", {}, count + left), done), badge(photo), " ", doubt(photo));
}

