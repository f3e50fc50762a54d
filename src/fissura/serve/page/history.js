// What was done on the open photo, fetched when its user wants to see it.

import { get, photoPath } from "./api.js";
import { make } from "./element.js";
import { on, state } from "./state.js";
import { language, t } from "./texts.js";

const SHOWN = 100;
let shown = null; // {details, list} of the open photo

export function startHistory() {
  on("cracks saved", () => { if (shown?.details.isConnected && shown.details.open) load(); });
}

export function historySection() {
  const list = make("ol", { class: "history" });
  const details = make("details", { ontoggle: () => { if (details.open) load(); } }, make("summary", {}, t("history")), list);
  shown = { details, list, revision: null };
  return make("section", {}, details);
}

async function load() {
  const { list } = shown, id = state.photo?.id;
  if (!id || shown.revision === state.photo.revision) return;
  shown.revision = state.photo.revision;
  let done = [];
  try { done = await get(`${photoPath(id)}/history`); } catch { return; }
  if (state.photo?.id !== id) return;
  const time = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });
  list.replaceChildren(...done.slice(-SHOWN).reverse().map((one) => make("li", {},
    make("time", { datetime: one.at }, time.format(new Date(one.at))), make("span", {}, sentence(one)))));
  if (!done.length) list.append(make("li", {}, t("history_empty")));
}

function sentence({ action, kind, body }) {
  const cracks = body?.cracks?.length ?? 0;
  const crack = body?.crack ?? (cracks === 1 ? body.cracks[0] : null);
  const about = crack !== null && crack !== undefined ? t("history_crack", { crack: String(crack) })
    : cracks ? t("cracks", { n: cracks }) : "";
  const what = t(kind === "status" ? `history_${body?.status}` : `history_${kind}`);
  const text = about ? `${what}: ${about}` : what;
  return action === "undo" || action === "redo" ? `${t(action)}: ${text}` : text;
}
