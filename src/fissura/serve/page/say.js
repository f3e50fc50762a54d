// Messages to the user: short ones that go by themselves, and one line that stays until it is
// settled.

import { find, make } from "./element.js";
import { t } from "./texts.js";

// Say a sentence for a few seconds; screen readers read it out.
export function say(text, seconds = 5) {
  const line = make("p", {}, text);
  find("#toasts").append(line);
  while (find("#toasts").childElementCount > 3) find("#toasts").firstElementChild.remove();
  setTimeout(() => line.remove(), seconds * 1000);
}

// Show a notice under the header: `actions` are [text key, function] pairs.
export function notice(kind, text, actions = []) {
  const box = find("#notice");
  box.className = `notice ${kind}`;
  box.replaceChildren(make("p", {}, text), ...actions.map(([key, act]) =>
    make("button", { type: "button", class: "small", onclick: () => { clearNotice(); act(); } }, t(key))));
  box.hidden = false;
}

export function clearNotice() {
  find("#notice").hidden = true;
}
