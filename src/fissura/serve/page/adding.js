// Photos that are dropped on the page or chosen: sent one by one, each with its own fate.

import { Refusal, upload } from "./api.js";
import { all, find, icon, make } from "./element.js";
import { say } from "./say.js";
import { takeSummary } from "./photos.js";
import { t } from "./texts.js";

const AT_ONCE = 2, TRIES = 3;
const waiting = [];
let running = 0, depth = 0;

export function startAdding() {
  find("#files").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
  addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth++;
    find("#drop").hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!carriesFiles(event) || --depth > 0) return;
    find("#drop").hidden = true;
  });
  addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
  addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    find("#drop").hidden = true;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const files = [...event.dataTransfer.files];
    add(entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(within))).flat() : files);
  });
}

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

// The files of a folder that was dropped, with those of the folders in it.
async function within(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader(), found = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.filter(({ name }) => !name.startsWith(".")).map(within))).flat();
}

export function add(files) {
  if (!files.length) return;
  say(t("adding", { n: files.length }), 3);
  waiting.push(...files);
  pump();
}

function pump() {
  while (running < AT_ONCE && waiting.length) {
    running++;
    send(waiting.shift()).finally(() => { running--; pump(); });
  }
}

async function send(file, tries = 0) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": file.name });
  const line = make("li", {}, make("span", {}, file.name), bar);
  find("#uploads").append(line);
  try {
    const answers = await upload(file, (fraction) => { bar.value = fraction; });
    for (const answer of answers) {
      if (answer.error) failed(answer.name ?? file.name, answer.error);
      else takeSummary(answer);
    }
    line.remove();
  } catch (error) {
    line.remove();
    const again = !(error instanceof Refusal) || error.status === 429;
    if (!again) return failed(file.name, error.message);
    if (tries >= TRIES) return failed(file.name, t("upload_lost"), file);
    await new Promise((go) => setTimeout(go, (error.retryAfter ?? 2 ** tries) * 1000));
    await send(file, tries + 1);
  }
}

// A file that can't be added says why until its line is closed.
function failed(name, why, file = null) {
  const line = make("li", { class: "error" }, make("span", {}, make("b", {}, name), ` ${why}`));
  line.append(make("button", { type: "button", "aria-label": t("close"), onclick: () => line.remove() }, icon("cross")));
  if (file) line.append(make("button", { type: "button", class: "small", onclick: () => { line.remove(); add([file]); } }, t("try_now")));
  find("#uploads").append(line);
  for (const old of all("#uploads .error").slice(0, -20)) old.remove();
}
