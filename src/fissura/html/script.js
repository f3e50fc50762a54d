"use strict";
// Sort and filter the tables, zoom into the photos. Without it, the page reads all the same.
(() => {
  document.documentElement.classList.add("js");

  // --- Tables ---

  const figure = (cell) => {
    const text = cell.dataset.v ?? cell.textContent;
    return text.trim() === "" || isNaN(text) ? NaN : Number(text);
  };

  function sort(table, column, down) {
    const numeric = table.tHead.rows[0].cells[column].classList.contains("n");
    const key = (row) => {
      const cell = row.cells[column];
      return numeric ? figure(cell) : cell.textContent.trim();
    };
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    const order = new Intl.Collator("en", { numeric: true }).compare;
    rows.sort(([one], [other]) => {
      if (!numeric) return down ? order(other, one) : order(one, other);
      // What is not known comes last, either way.
      if (isNaN(one) || isNaN(other)) return isNaN(one) - isNaN(other);
      return down ? other - one : one - other;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    table.tHead.rows[0].cells[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      // Not a <button>: Chromium prints a table's head on each page, and leaves buttons in it out.
      const button = document.createElement("span");
      button.setAttribute("role", "button");
      button.tabIndex = 0;
      button.append(...head.childNodes);
      head.append(button);
      const toggle = () => {
        // Figures from the largest first, words from A.
        const sorted = head.getAttribute("aria-sort");
        sort(table, column, sorted ? sorted === "ascending" : head.classList.contains("n"));
      };
      button.addEventListener("click", toggle);
      button.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        toggle();
      });
    });
  }

  const form = document.querySelector("form.filter");
  if (form) {
    const tables = [...document.querySelectorAll("table.cracks")];
    const column = (table, title) =>
      [...table.tHead.rows[0].cells].findIndex((head) => head.textContent.startsWith(title));
    const filter = () => {
      const text = form.elements.text.value.trim().toLowerCase();
      const least = [["Width, max", form.elements["least-width"]], ["Length", form.elements["least-length"]]];
      let shown = 0, all = 0;
      for (const table of tables) {
        const bounds = least.filter(([, field]) => field.value !== "")
          .map(([title, field]) => [column(table, title), Number(field.value)]);
        for (const row of table.tBodies[0].rows) {
          const fits = row.cells[0].textContent.toLowerCase().includes(text)
            && bounds.every(([at, value]) => figure(row.cells[at]) >= value);
          row.hidden = !fits;
          shown += fits;
          all += 1;
        }
      }
      form.querySelector("output").textContent = `${shown} of ${all} crack${all === 1 ? "" : "s"}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  // --- Photos ---

  const viewers = new Map();
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const LARGEST = 24;

  function viewer(stage) {
    if (viewers.has(stage)) return viewers.get(stage);
    const images = stage.querySelector(".images");
    const spot = stage.querySelector(".spot");
    const view = { zoom: 1, x: 0, y: 0 };

    const show = () => {
      const { clientWidth: width, clientHeight: height } = stage;
      view.x = clamp(view.x, width * (1 - view.zoom), 0);
      view.y = clamp(view.y, height * (1 - view.zoom), 0);
      images.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
      images.style.setProperty("--zoom", view.zoom);
      stage.classList.toggle("zoomed", view.zoom > 1);
    };
    // Zoom so that the point (x, y) of the stage stays where it is.
    const zoomAt = (factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) => {
      const zoom = clamp(view.zoom * factor, 1, LARGEST);
      view.x = x - (x - view.x) * zoom / view.zoom;
      view.y = y - (y - view.y) * zoom / view.zoom;
      view.zoom = zoom;
      show();
    };
    const fit = () => { Object.assign(view, { zoom: 1, x: 0, y: 0 }); spot.hidden = true; show(); };
    // A box in widths of the photo, so that it holds at any size.
    const showBox = ([left, top, right, bottom]) => {
      const { clientWidth: width, clientHeight: height } = stage;
      const margin = 0.012;
      const style = { left: left - margin, top: top - margin,
        width: right - left + 2 * margin, height: bottom - top + 2 * margin };
      // Percentages of top and height are of the height.
      const tall = height / width;
      spot.style.left = `${100 * style.left}%`;
      spot.style.width = `${100 * style.width}%`;
      spot.style.top = `${100 * style.top / tall}%`;
      spot.style.height = `${100 * style.height / tall}%`;
      spot.hidden = false;
      view.zoom = clamp(0.7 * Math.min(1 / style.width, tall / style.height), 1, LARGEST / 2);
      view.x = width / 2 - (left + right) / 2 * width * view.zoom;
      view.y = height / 2 - (top + bottom) / 2 * width * view.zoom;
      show();
    };
    const at = (event) => {
      const frame = stage.getBoundingClientRect();
      return [event.clientX - frame.left - stage.clientLeft, event.clientY - frame.top - stage.clientTop];
    };

    const fingers = new Map();
    const spread = () => {
      const [[ax, ay], [bx, by]] = fingers.values();
      return [Math.hypot(ax - bx, ay - by), (ax + bx) / 2, (ay + by) / 2];
    };
    stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      stage.focus({ preventScroll: true });
      fingers.set(event.pointerId, at(event));
      stage.setPointerCapture(event.pointerId);
      stage.classList.add("dragged");
    });
    stage.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) return;
      const before = fingers.size === 2 ? spread() : fingers.get(event.pointerId);
      fingers.set(event.pointerId, at(event));
      if (fingers.size === 1) {
        const [x, y] = at(event);
        view.x += x - before[0];
        view.y += y - before[1];
        show();
      } else if (fingers.size === 2) {
        const [apart, x, y] = spread();
        view.x += x - before[1];
        view.y += y - before[2];
        zoomAt(apart / Math.max(before[0], 1), x, y);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => {
        fingers.delete(event.pointerId);
        stage.classList.toggle("dragged", fingers.size > 0);
      });
    }
    stage.addEventListener("dblclick", (event) => zoomAt(event.shiftKey ? 0.5 : 2, ...at(event)));
    // The wheel scrolls the page until the photo was clicked.
    stage.addEventListener("wheel", (event) => {
      if (document.activeElement !== stage && !event.ctrlKey) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      zoomAt(Math.exp(-0.002 * lines * event.deltaY), ...at(event));
    }, { passive: false });
    const STEP = 60;
    const keys = {
      "+": () => zoomAt(1.4), "=": () => zoomAt(1.4), "-": () => zoomAt(1 / 1.4), "0": fit, "Escape": fit,
      "ArrowLeft": () => { view.x += STEP; show(); }, "ArrowRight": () => { view.x -= STEP; show(); },
      "ArrowUp": () => { view.y += STEP; show(); }, "ArrowDown": () => { view.y -= STEP; show(); },
    };
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in keys)) return;
      if (event.key.startsWith("Arrow") && view.zoom === 1) return;
      event.preventDefault();
      keys[event.key]();
    });
    new ResizeObserver(show).observe(stage);
    const made = { view, zoomAt, fit, showBox };
    viewers.set(stage, made);
    return made;
  }

  for (const stage of document.querySelectorAll(".stage")) {
    stage.tabIndex = 0;
    viewer(stage);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-zoom]");
    if (button) {
      const shown = viewer(button.closest(".viewer").querySelector(".stage"));
      ({ in: () => shown.zoomAt(1.6), out: () => shown.zoomAt(1 / 1.6), fit: shown.fit })[button.dataset.zoom]();
      return;
    }
    const row = event.target.closest("tr[data-box]");
    if (!row || event.ctrlKey || event.metaKey || String(getSelection())) return;
    event.preventDefault();
    for (const chosen of document.querySelectorAll("tr.chosen")) chosen.classList.remove("chosen");
    row.classList.add("chosen");
    const photo = document.getElementById(`photo-${row.dataset.photo}`);
    history.pushState(null, "", `#${photo.id}`); // so that one gets back to the row
    photo.style.contentVisibility = "visible"; // its size is needed now, not when it is in view
    photo.scrollIntoView();
    const stage = photo.querySelector(".stage");
    stage.focus({ preventScroll: true });
    viewer(stage).showBox(row.dataset.box.split(" ").map(Number));
  });

  // --- Paper: nothing folded stays so ---

  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")];
    unfolded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => unfolded.forEach((details) => { details.open = false; }));
})();
