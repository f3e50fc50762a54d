// The desk's page: loads the texts, starts the parts, opens the first photo.

import { startAdding } from "./adding.js";
import { resumeEdits, startEdits } from "./edits.js";
import { all, find } from "./element.js";
import { startFinishing } from "./finishing.js";
import { startHistory } from "./history.js";
import { labelKeys, startKeys } from "./keys.js";
import { refresh, startLive } from "./live.js";
import { startOptions } from "./options.js";
import { startPanel } from "./panel.js";
import { startPhotos } from "./photos.js";
import { startPointer } from "./pointer.js";
import { on, tell } from "./state.js";
import { applyTexts, chooseLanguage, language, loadTexts, t } from "./texts.js";
import { startTabs } from "./tabs.js";
import { startTools } from "./tools.js";
import { maskChanged, redraw, startViewer } from "./viewer.js";

function drawSaved({ state, waiting }) {
  const line = find("#saved");
  line.dataset.state = state;
  const text = state === "none" ? "" : t(`saved_${state}`, { n: waiting });
  if (line.textContent !== text) line.textContent = text;
}

function showLanguage() {
  for (const choice of all(".choose-language")) choice.value = language;
}

async function start() {
  await loadTexts();
  for (const choice of all(".choose-language")) {
    choice.addEventListener("change", () => chooseLanguage(choice.value));
  }
  startViewer();
  startTools();
  startPhotos();
  startPanel();
  startHistory();
  startOptions();
  startPointer();
  startFinishing();
  startAdding();
  startTabs();
  startKeys();
  let last = { state: "none", waiting: 0 };
  on("saved", (now) => { last = { ...now }; drawSaved(last); });
  on("work", () => redraw("marks", "mask"));
  on("cracks", () => redraw("mask"));
  on("texts", () => { showLanguage(); labelKeys(); applyTexts(document); drawSaved(last); });
  showLanguage();
  labelKeys();
  applyTexts(document);
  startEdits(maskChanged);
  startLive();
  await refresh();
  resumeEdits();
  tell("photos");
  tell("tool");
  document.body.dataset.ready = "";
}

start();
