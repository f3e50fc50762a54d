// Tiles of the pyramids of photo and mask: which are needed, loaded, kept and drawn.

import { camera, meets, seen } from "./camera.js";
import { photoPath } from "./api.js";

const MOST_KEPT = 640; // 256 × 256 × 4 bytes each: 160 MiB
const AT_ONCE = 4; // of the six connections that a browser opens; edits must not wait

// One pyramid of one photo. `changed` is called when a tile has come.
export class Pyramid {
  constructor(photo, kind, changed) {
    Object.assign(this, { photo, kind, changed, tiles: new Map(), wanted: [], loading: 0, closed: false });
    this.revision = photo.revision;
    this.waiting = []; // [{box, done}]: who wants to know that a box is up to date
  }

  scale(level) {
    return this.photo.width / this.photo.levels[level].width;
  }

  // The coarsest level that is as sharp as the screen.
  level(ratio = devicePixelRatio) {
    const { levels } = this.photo;
    for (let level = levels.length - 1; level > 0; level--) {
      if (this.scale(level) * camera.zoom * ratio <= 1.1) return level;
    }
    return 0;
  }

  // Call a function for each tile of a level within a box of the photo.
  each(level, box, call) {
    const side = this.photo.tile * this.scale(level), { width, height } = this.photo.levels[level];
    const columns = Math.ceil(width / this.photo.tile), rows = Math.ceil(height / this.photo.tile);
    const last = (edge, count) => Math.min(Math.ceil(edge / side), count);
    for (let row = Math.max(Math.floor(box[1] / side), 0); row < last(box[3], rows); row++) {
      for (let column = Math.max(Math.floor(box[0] / side), 0); column < last(box[2], columns); column++) {
        call(column, row);
      }
    }
  }

  get(level, column, row) {
    const key = `${level}/${column}/${row}`;
    let tile = this.tiles.get(key);
    if (!tile) {
      tile = { key, level, column, row, picture: null, revision: -1, needed: this.revision, failed: 0, loading: false };
    } else this.tiles.delete(key);
    this.tiles.set(key, tile); // the last one used is the last one dropped
    return tile;
  }

  box(tile) {
    const side = this.photo.tile * this.scale(tile.level);
    return [tile.column * side, tile.row * side, (tile.column + 1) * side, (tile.row + 1) * side];
  }

  // Draw what is there, coarse tiles first, and ask for what is missing.
  draw(context) {
    const box = seen(this.photo), best = this.level(), coarsest = this.photo.levels.length - 1;
    const wanted = [];
    for (let level = coarsest; level >= best; level--) {
      const finer = level === best;
      this.each(level, box, (column, row) => {
        if (!finer && level !== coarsest && !this.tiles.has(`${level}/${column}/${row}`)) return;
        const tile = this.get(level, column, row);
        if ((finer || level === coarsest) && tile.revision < tile.needed) wanted.push(tile);
        if (tile.picture && (finer || !this.covered(tile, best, box))) this.paint(context, tile);
      });
    }
    this.ask(wanted, box);
    this.forget();
  }

  // Whether the tiles of the best level lie over a coarser one, so that it needn't be drawn:
  // that matters for masks, where the coarse would shine through.
  covered(tile, best, view) {
    if (tile.level === best) return false;
    const [x0, y0, x1, y1] = this.box(tile);
    const part = [Math.max(x0, view[0]), Math.max(y0, view[1]), Math.min(x1, view[2]), Math.min(y1, view[3])];
    let complete = true;
    this.each(best, part, (column, row) => {
      complete &&= Boolean(this.tiles.get(`${best}/${column}/${row}`)?.picture);
    });
    return complete;
  }

  // Edges are rounded to pixels of the screen, so that no seam shows between tiles.
  paint(context, tile) {
    const scale = this.scale(tile.level), side = this.photo.tile * scale, { picture } = tile;
    const at = (edge, offset) => Math.round((edge * camera.zoom + offset) * devicePixelRatio);
    const x = at(tile.column * side, camera.x), y = at(tile.row * side, camera.y);
    const width = at(tile.column * side + picture.width * scale, camera.x) - x;
    const height = at(tile.row * side + picture.height * scale, camera.y) - y;
    if (this.kind === "mask") context.clearRect(x, y, width, height);
    context.drawImage(picture, x, y, width, height);
  }

  // Load tiles from the middle of the screen outwards; what is no longer seen is not waited for.
  ask(tiles, box) {
    const x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
    const far = (tile) => {
      const [x0, y0, x1, y1] = this.box(tile);
      return Math.hypot((x0 + x1) / 2 - x, (y0 + y1) / 2 - y) - (tile.picture ? 0 : 1e7);
    };
    this.wanted = tiles.filter((tile) => !tile.loading && tile.failed < 4).sort((a, b) => far(a) - far(b));
    this.pump();
    this.settle();
  }

  pump() {
    while (!this.closed && this.loading < AT_ONCE && this.wanted.length) this.load(this.wanted.shift());
  }

  address(tile) {
    const place = `/v1/${photoPath(this.photo.id)}`;
    const { level, column, row } = tile;
    return this.kind === "mask" ? `${place}/mask/${level}/${column}/${row}.png?revision=${tile.needed}`
      : `${place}/tiles/${level}/${column}/${row}.jpg`;
  }

  async load(tile) {
    tile.loading = true;
    this.loading++;
    const asked = tile.needed;
    try {
      const response = await fetch(this.address(tile), { credentials: "same-origin", priority: "low" });
      if (!response.ok) throw new Error(response.status);
      const picture = await createImageBitmap(await response.blob());
      tile.picture?.close();
      Object.assign(tile, { picture, revision: asked, failed: 0 });
    } catch {
      tile.failed++;
      setTimeout(() => this.closed || this.changed(), 1000 * 2 ** tile.failed);
    }
    tile.loading = false;
    this.loading--;
    if (this.closed) return;
    this.changed();
    this.pump();
  }

  // Mark the tiles that meet a box as out of date; they are drawn until the new ones are there.
  outdate(box, revision) {
    this.revision = Math.max(this.revision, revision);
    for (const tile of this.tiles.values()) {
      if (!box || meets(box, this.box(tile))) Object.assign(tile, { needed: this.revision, failed: 0 });
    }
    this.changed();
  }

  // Resolve when what is seen of a box is up to date, or after a while.
  ready(box) {
    return new Promise((done) => {
      this.waiting.push({ box, done });
      setTimeout(done, 6000);
    });
  }

  settle() {
    if (!this.waiting.length) return;
    const level = this.level();
    const view = seen(this.photo);
    this.waiting = this.waiting.filter(({ box, done }) => {
      let fresh = true;
      const part = [Math.max(box[0], view[0]), Math.max(box[1], view[1]), Math.min(box[2], view[2]), Math.min(box[3], view[3])];
      if (part[0] < part[2] && part[1] < part[3]) {
        this.each(level, part, (column, row) => {
          const tile = this.tiles.get(`${level}/${column}/${row}`);
          fresh &&= Boolean(tile) && tile.revision >= tile.needed;
        });
      }
      if (fresh) done();
      return !fresh;
    });
  }

  forget() {
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= MOST_KEPT) return;
      if (tile.loading || tile.level === this.photo.levels.length - 1) continue;
      tile.picture?.close();
      this.tiles.delete(key);
    }
  }

  close() {
    this.closed = true;
    for (const tile of this.tiles.values()) tile.picture?.close();
    this.tiles.clear();
  }
}
