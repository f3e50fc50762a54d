// Texts in the language that the reader chose, and numbers as that language writes them.

import { all } from "./element.js";
import { kept, tell } from "./state.js";

let texts = {};
export let language = "en";

export async function loadTexts() {
  texts = await (await fetch("/page/texts.json")).json();
  const wished = kept.get("language") ?? navigator.language.slice(0, 2);
  chooseLanguage(wished in texts ? wished : "en");
}

export function chooseLanguage(wished) {
  language = wished;
  kept.set("language", wished);
  document.documentElement.lang = wished;
  applyTexts(document);
  tell("texts");
}

// Return a text; `n` picks its singular (key_one) and fills {n} as a number, other values fill
// the braces of their names.
export function t(key, values = {}) {
  const table = texts[language] ?? {};
  const text = (values.n === 1 ? table[`${key}_one`] : undefined) ?? table[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : value ?? whole;
  });
}

// Fill the elements that name their text: as content, as label, or as label and tooltip with
// the key of a command.
export function applyTexts(root) {
  for (const element of all("[data-text]", root)) element.textContent = t(element.dataset.text);
  for (const element of all("[data-label]", root)) element.setAttribute("aria-label", t(element.dataset.label));
  for (const element of all("[data-title]", root)) {
    const key = element.dataset.key ? ` (${element.dataset.key})` : "";
    element.setAttribute("aria-label", t(element.dataset.title));
    element.title = t(element.dataset.title) + key;
  }
}

export function number(value, digits) {
  const options = digits === undefined ? { maximumFractionDigits: 2 }
    : { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(language, options).format(value);
}

// A length with its unit, with as many digits as a reader can use.
export function length(value, unit) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return `${number(value, size >= 100 ? 0 : size >= 10 ? 1 : 2)} ${unit}`;
}
