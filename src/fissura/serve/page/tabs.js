// On narrow screens photos and findings share one place, with a tab for each.

import { all, find } from "./element.js";
import { on } from "./state.js";

export function startTabs() {
  for (const tab of all("[data-tab]")) {
    tab.addEventListener("click", () => showTab(tab.dataset.tab));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = all("[data-tab]").find((one) => one !== tab);
      showTab(other.dataset.tab);
      other.focus();
    });
  }
  on("selected", (id) => { if (id) showTab("panel"); });
  showTab("photos");
}

export function showTab(name) {
  for (const tab of all("[data-tab]")) {
    const chosen = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    find(`#${tab.dataset.tab}`).toggleAttribute("data-hidden", !chosen);
  }
}
