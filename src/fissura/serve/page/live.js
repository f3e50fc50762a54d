// What happens at the server while the page looks on: by server-sent events, or by asking again
// where these don't come through.

import { get } from "./api.js";
import { find } from "./element.js";
import { loadPhotos, takeSummary } from "./photos.js";
import { clearNotice, notice } from "./say.js";
import { on, state, tell } from "./state.js";
import { t } from "./texts.js";

const EVERY = 3000;
let source = null, failures = 0, polling = null;

export function startLive() {
  on("desk texts", drawProgress);
  connect();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
}

function connect() {
  source = new EventSource("/v1/events");
  source.onopen = () => {
    if (failures) refresh(); // what happened meanwhile
    failures = 0;
    clearInterval(polling);
    polling = null;
  };
  source.onerror = () => {
    failures++;
    polling ??= setInterval(refresh, EVERY);
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, Math.min(2000 * failures, 15000));
  };
  const listen = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  listen("photo", takeSummary);
  listen("progress", (progress) => { if (state.desk) { state.desk.progress = progress; tell("desk"); } });
  listen("finished", (finished) => { if (state.desk) { state.desk.finished = finished; tell("finished"); tell("desk"); } });
}

export async function refresh() {
  try {
    const first = !state.desk;
    state.desk = await get("desk");
    if (first) clearNotice();
    tell("desk");
    await loadPhotos();
  } catch { // edits say when the server is lost; looking on is tried again
    if (!state.desk) notice("fail", t("start_failed"));
  }
}

function drawProgress() {
  const { progress } = state.desk ?? {};
  const box = find("#progress"), running = progress && progress.done + progress.failed < progress.total;
  box.hidden = !running;
  find("#desk-name").textContent = state.desk ? [state.desk.name, state.desk.model].filter(Boolean).join(" · ") : "";
  find("#desk-name").title = state.desk?.terms ?? "";
  if (!running) return;
  const done = progress.done + progress.failed;
  find("#progress-bar").value = done / progress.total;
  find("#progress-text").textContent = t("progress", { done, total: progress.total }) + timeLeft(progress.seconds_left);
}

function timeLeft(seconds) {
  if (seconds === null || seconds === undefined) return "";
  return ` · ${seconds < 90 ? t("seconds_left", { n: Math.ceil(seconds) }) : t("minutes_left", { n: Math.round(seconds / 60) })}`;
}
