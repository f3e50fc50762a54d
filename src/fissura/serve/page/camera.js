// Where the viewer looks: zoom and place of the photo, and the smooth way to a new zoom.

const MOST = 16; // screen pixels per pixel of the photo
const still = matchMedia("(prefers-reduced-motion: reduce)");

export const camera = { zoom: 1, x: 0, y: 0, width: 1, height: 1, wish: null };

export const toPhoto = (x, y) => [(x - camera.x) / camera.zoom, (y - camera.y) / camera.zoom];
export const toScreen = ([x, y]) => [x * camera.zoom + camera.x, y * camera.zoom + camera.y];

function fitting(photo, margin = 16) {
  return Math.min((camera.width - margin * 2) / photo.width, (camera.height - margin * 2) / photo.height);
}

function least(photo) {
  return Math.min(fitting(photo), 1) * 0.5;
}

export function fit(photo) {
  camera.zoom = Math.min(Math.max(fitting(photo), 0.001), MOST);
  camera.x = (camera.width - photo.width * camera.zoom) / 2;
  camera.y = (camera.height - photo.height * camera.zoom) / 2;
  camera.wish = null;
}

// Show a box of the photo with some of its surroundings.
export function showBox(photo, [x0, y0, x1, y1]) {
  const wide = Math.max(x1 - x0, 40) * 1.5, high = Math.max(y1 - y0, 40) * 1.5;
  camera.zoom = Math.min(camera.width / wide, camera.height / high, 4);
  camera.x = camera.width / 2 - ((x0 + x1) / 2) * camera.zoom;
  camera.y = camera.height / 2 - ((y0 + y1) / 2) * camera.zoom;
  camera.wish = null;
  keepInside(photo);
}

// Zoom by a factor around a point of the screen; the point of the photo under it stays there.
export function zoomBy(photo, factor, x = camera.width / 2, y = camera.height / 2, smooth = true) {
  const from = camera.wish?.zoom ?? camera.zoom;
  const zoom = Math.min(Math.max(from * factor, least(photo)), MOST);
  const anchor = toPhoto(x, y);
  if (!smooth || still.matches) { setZoom(photo, zoom, anchor, x, y); camera.wish = null; }
  else camera.wish = { zoom, anchor, x, y };
}

function setZoom(photo, zoom, [px, py], x, y) {
  camera.zoom = zoom;
  camera.x = x - px * zoom;
  camera.y = y - py * zoom;
  keepInside(photo);
}

export function panBy(photo, dx, dy) {
  camera.wish = null;
  camera.x += dx;
  camera.y += dy;
  keepInside(photo);
}

// A tenth of the screen always shows the photo.
function keepInside(photo) {
  const dx = camera.width * 0.1, dy = camera.height * 0.1;
  camera.x = Math.min(Math.max(camera.x, dx - photo.width * camera.zoom), camera.width - dx);
  camera.y = Math.min(Math.max(camera.y, dy - photo.height * camera.zoom), camera.height - dy);
}

// One frame of the way to the wished zoom; true while there is way to go.
export function step(photo) {
  const wish = camera.wish;
  if (!wish || !photo) return false;
  const left = Math.log(wish.zoom / camera.zoom);
  const done = Math.abs(left) < 0.004;
  setZoom(photo, done ? wish.zoom : camera.zoom * Math.exp(left * 0.35), wish.anchor, wish.x, wish.y);
  if (done) camera.wish = null;
  return !done;
}

// The part of the photo that the screen shows: [x0, y0, x1, y1].
export function seen(photo) {
  const [x0, y0] = toPhoto(0, 0), [x1, y1] = toPhoto(camera.width, camera.height);
  return [Math.max(x0, 0), Math.max(y0, 0), Math.min(x1, photo.width), Math.min(y1, photo.height)];
}

export const meets = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
