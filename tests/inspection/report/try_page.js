// What test_report.py does to a report in a browser; it appends this to the page and reads the result.
"use strict";
addEventListener("error", (event) => { document.getElementById("result").textContent = JSON.stringify(event.message); });
{ // not global, where there is a `top` already
  const said = {}, of = (row, column) => row.cells[column].textContent;
  const table = document.querySelector("table.cracks"), heads = [...table.tHead.rows[0].cells];
  const at = (title) => heads.findIndex((head) => head.textContent.startsWith(title));
  const values = (column) => [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.v ?? null);
  const press = (element, key) => element.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const widest = at("Width, max"), head = heads[widest];
  head.firstChild.click();
  said.down = [head.getAttribute("aria-sort"), values(widest)];
  press(head.firstChild, "Enter");
  said.up = [head.getAttribute("aria-sort"), values(widest)];
  heads[0].firstChild.click();
  said.sorted = heads.filter((head) => head.hasAttribute("aria-sort")).length;
  const form = document.querySelector("form.filter"), shown = () => form.querySelector("output").textContent;
  const type = (name, value) => {
    form.elements[name].value = value;
    form.dispatchEvent(new Event("input", { bubbles: true }));
    return shown();
  };
  said.filter = [shown(), type("least-width", "0.25"), type("text", "PANEL"), type("least-width", ""),
    type("text", ""), type("least-length", "3.5")];
  type("least-length", "");
  const row = [...table.tBodies[0].rows].find((row) => of(row, 1) === "2");
  row.cells[1].querySelector("a").click();
  const photo = document.getElementById("photo-" + row.dataset.photo);
  const stage = photo.querySelector(".stage"), images = stage.querySelector(".images");
  const frame = stage.getBoundingClientRect(), spot = stage.querySelector(".spot").getBoundingClientRect();
  const image = stage.querySelector(".drawn").getBoundingClientRect();
  const [left, top, right, bottom] = row.dataset.box.split(" ").map(Number);
  said.hash = location.hash;
  said.focus = document.activeElement === stage;
  said.chosen = row.classList.contains("chosen");
  said.zoomed = new DOMMatrix(getComputedStyle(images).transform).a > 1;
  // In widths of the photo: how far the spot's middle is off the crack's, and off the stage's.
  said.off = [(spot.left + spot.right) / 2 - image.left, (spot.top + spot.bottom) / 2 - image.top]
    .map((value, axis) => value / image.width - [left + right, top + bottom][axis] / 2);
  said.inside = spot.left >= frame.left - 20 && spot.right <= frame.right + 20;
  const zoom = () => Number(images.style.getPropertyValue("--zoom"));
  const button = (name) => photo.querySelector(`[data-zoom=${name}]`).click();
  const zooms = [];
  button("fit"); zooms.push(zoom());
  button("in"); zooms.push(zoom());
  button("out"); zooms.push(zoom());
  stage.dispatchEvent(new MouseEvent("dblclick", { bubbles: true })); zooms.push(zoom());
  press(stage, "0"); zooms.push(zoom());
  press(stage, "+"); zooms.push(zoom());
  stage.blur();
  const wheel = () => stage.dispatchEvent(new WheelEvent("wheel", { deltaY: -100, cancelable: true }));
  said.page_scrolls = wheel() && zoom() === zooms.at(-1);
  stage.focus();
  said.wheel = !wheel() && zoom() > zooms.at(-1);
  said.zooms = zooms;
  // A drag, then two fingers that part to twice their distance.
  stage.setPointerCapture = () => {}; // which takes real pointers alone
  const pointer = (kind, pointerId, x, y) => {
    const { left, top } = stage.getBoundingClientRect();
    const place = { clientX: left + stage.clientLeft + x, clientY: top + stage.clientTop + y };
    stage.dispatchEvent(new PointerEvent(kind, { pointerId, button: 0, cancelable: true, ...place }));
  };
  const moved = () => { const matrix = new DOMMatrix(images.style.transform); return [matrix.e, matrix.f]; };
  press(stage, "0");
  press(stage, "+");
  const before = moved();
  pointer("pointerdown", 1, 300, 200);
  pointer("pointermove", 1, 290, 205);
  pointer("pointerup", 1, 290, 205);
  pointer("pointermove", 1, 200, 200);
  said.dragged = moved().map((value, axis) => value - before[axis]);
  const once = zoom();
  pointer("pointerdown", 2, 300, 200);
  pointer("pointerdown", 3, 400, 200);
  pointer("pointermove", 2, 250, 200);
  pointer("pointermove", 3, 450, 200);
  pointer("pointerup", 2, 250, 200);
  pointer("pointercancel", 3, 450, 200);
  said.pinched = zoom() / once;
  const toggle = photo.querySelector(".toggle"), drawn = stage.querySelector(".drawn");
  toggle.click();
  said.toggled = getComputedStyle(drawn).visibility;
  said.widths = [...stage.querySelectorAll("img")].map((image) => Math.round(image.getBoundingClientRect().width));
  document.getElementById("result").textContent = JSON.stringify(said);
}
