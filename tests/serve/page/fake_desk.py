"""A small desk that speaks the contract of the page: drawn photos, edits that really happen."""

import io
import json
import mimetypes
import queue
import re
import socket
import threading
import time
from email.parser import BytesParser
from email.policy import HTTP
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import fissura

PAGE = Path(fissura.__file__).parent / "serve" / "page"
TILE = 256
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
EDITED = ("mask", "cracks", "mm_per_pixel", "note")


@cache  # nothing is drawn into: a stroke goes into a copy
def drawn_photo(seed, size):
    """Return a gray wall with cracks, their mask, and the points of their center lines."""
    rng = np.random.default_rng(seed)
    width, height = size
    coarse = rng.normal(0, 1, (height // 40 + 2, width // 40 + 2))
    clouds = Image.fromarray((coarse * 9 + 150).clip(0, 255).astype(np.uint8))
    wall = np.asarray(clouds.resize(size, Image.Resampling.BICUBIC), float)
    wall = wall + rng.normal(0, 7, (height, width))
    tone = np.array([1.0, 0.97, 0.9])
    photo = Image.fromarray((wall[..., None] * tone).clip(0, 255).astype(np.uint8))
    mask = Image.new("L", size)
    lines = []
    for index in range(3 + seed % 3):
        y = height * (index + 1) / (5 + seed % 3)
        steps = rng.normal(0, height / 260, 90).cumsum()
        xs = np.linspace(width * 0.08 * (index + 1), width * (0.55 + 0.1 * (index % 4)), 90)
        lines.append([(float(x), float(y + step)) for x, step in zip(xs, steps, strict=True)])
        thick = max(round(width / 400 * (1 + index % 3)), 2)
        ImageDraw.Draw(photo).line(lines[-1], fill=(52, 47, 42), width=thick, joint="curve")
        ImageDraw.Draw(mask).line(lines[-1], fill=255, width=thick + 2, joint="curve")
    return photo, mask, lines


class Photo:
    """One photo with its mask, its cracks and its history."""

    def __init__(self, number, name, photo, mask, lines):
        self.id, self.name, self.photo = f"p{number}", name, photo
        self.mask, self.cracks, self.mm_per_pixel, self.note = mask, [], None, ""
        self.state, self.message, self.revision, self.made = "done", "", 0, 0
        self.past, self.future, self.history = [], [], []
        self.unfamiliar = False
        for line in lines:
            self.crack(line, 6.0, "found")

    def crack(self, line, width, status):
        self.made += 1
        one = {"id": f"c{self.made}", "label": f"{self.made}", "status": status, "note": ""}
        one |= {"class": "crack", "angle": 12.0, "kind": "transverse", "pixels": width}
        one["lines"] = [[list(map(float, point)) for point in line]]
        self.cracks = [*self.cracks, one]
        return one

    def told(self, one):
        """Return a crack as the page gets it: figures in the unit of the scale."""
        points = np.array(one["lines"][0])
        scale, unit = (self.mm_per_pixel, "mm") if self.mm_per_pixel else (1.0, "px")
        figures = {"length": float(np.hypot(*np.diff(points, axis=0).T).sum()) * scale}
        figures |= {"mean_width": one["pixels"] * scale * 0.8, "max_width": one["pixels"] * scale}
        box = [*points.min(0).tolist(), *points.max(0).tolist()]
        return (
            {key: one[key] for key in one if key != "pixels"}
            | figures
            | {
                "unit": unit,
                "box": box,
            }
        )

    def summary(self):
        open_cracks = [one for one in self.cracks if one["status"] == "found"]
        counted = [one for one in self.cracks if one["status"] != "rejected"]
        wide = max((one["pixels"] for one in counted), default=0)
        reasons = [f"crack {one['label']} is {one['pixels']:.1f} px wide, more than 5"
                   for one in counted if one["pixels"] > 5]  # fmt: skip
        done = self.state == "done"
        return {
            "id": self.id, "name": self.name, "revision": self.revision, "state": self.state,
            "width": self.photo.width, "height": self.photo.height,
            "message": self.message, "open": len(open_cracks),
            "verdict": ("failed" if wide > 5 else "ok") if done else "none",
            "reasons": reasons if done else [], "cracks": len(counted) if done else 0,
            "mm_per_pixel": self.mm_per_pixel, "note": self.note,
            "unfamiliar": self.unfamiliar,
        }  # fmt: skip

    def whole(self):
        levels, (width, height) = [], self.photo.size
        while True:
            levels.append({"width": width, "height": height})
            if max(width, height) <= TILE:
                break
            width, height = (width + 1) // 2, (height + 1) // 2
        cracks = [self.told(one) for one in self.cracks] if self.state == "done" else []
        more = {"levels": levels, "tile": TILE, "cracks": cracks, "revision": self.revision}
        return self.summary() | more | self.steps()

    def steps(self):
        return {"can_undo": bool(self.past), "can_redo": bool(self.future)}

    def kept(self):
        return {name: getattr(self, name) for name in EDITED}

    def change(self, edit):
        """Make one edit and return the box of the mask that it changed."""
        kind = edit["kind"]
        self.past.append(self.kept())
        self.future = []
        if kind in ("paint", "erase", "line"):
            return self.stroke(edit, kind)
        if kind == "scale":
            self.rescale(edit)
        elif kind == "note" and "crack" not in edit:
            self.note = edit["text"]
        else:
            names = edit.get("cracks") or [edit["crack"]]
            key = "note" if kind == "note" else kind
            value = edit["text"] if kind == "note" else edit[kind]
            self.cracks = [one | {key: value} if one["id"] in names else one for one in self.cracks]
        return [0, 0, 0, 0]

    def stroke(self, edit, kind):
        self.mask = self.mask.copy()
        radius = edit.get("radius") or edit.get("width", 4) / 2
        draw, points = ImageDraw.Draw(self.mask), [tuple(point) for point in edit["points"]]
        fill = 0 if kind == "erase" else 255
        draw.line(points, fill=fill, width=max(round(radius * 2), 1), joint="curve")
        for x, y in points:
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)
        if kind == "erase":
            self.cracks = [one for one in self.cracks if self.inked(one) > 0.4]
        elif len(points) > 1:
            self.crack(points, radius * 2, "added")
        array = np.array(points)
        low, high = array.min(0) - radius, array.max(0) + radius
        return [*low.tolist(), *high.tolist()]

    def inked(self, one):
        points = [(round(x), round(y)) for x, y in one["lines"][0]]
        inside = [p for p in points if 0 <= p[0] < self.mask.width and 0 <= p[1] < self.mask.height]
        return sum(self.mask.getpixel(point) > 0 for point in inside) / max(len(inside), 1)

    def rescale(self, edit):
        if "mm_per_pixel" in edit:
            self.mm_per_pixel = edit["mm_per_pixel"]
        elif "points" in edit:
            (ax, ay), (bx, by) = edit["points"]
            self.mm_per_pixel = edit["length_mm"] / np.hypot(bx - ax, by - ay)
        else:
            (ax, ay), (bx, by) = edit["corners"][:2]
            self.mm_per_pixel = edit["width_mm"] / np.hypot(bx - ax, by - ay)

    def step(self, source, target):
        target.append(self.kept())
        for name, value in source.pop().items():
            setattr(self, name, value)
        return [0, 0, *self.photo.size]

    def edited(self, edit, kind):
        """Make an edit, an undo or a redo; return what the page has to know."""
        before = {one["id"]: self.told(one) for one in self.cracks}
        if kind == "edits":
            dirty = self.change(edit)
        else:
            both = self.past, self.future
            dirty = self.step(*(both if kind == "undo" else both[::-1]))
        self.revision += 1
        told = {"revision": self.revision, "at": "2026-11-25T12:00:00.000+00:00", "body": edit}
        action = "do" if kind == "edits" else kind
        self.history.append(told | {"action": action, "kind": edit.get("kind", "status")})
        after = {one["id"]: self.told(one) for one in self.cracks}
        answer = {"cracks": [one for key, one in after.items() if before.get(key) != one]}
        answer |= {"removed": [key for key in before if key not in after], "dirty": dirty}
        return self.summary() | answer | {"revision": self.revision} | self.steps()

    def tile(self, image, level, column, row):
        box = [edge * 2**level for edge in (column * TILE, row * TILE)]
        ends = [min(a + TILE * 2**level, b) for a, b in zip(box, image.size, strict=True)]
        part = image.crop((*box, *ends))
        return part.reduce(2**level) if level else part


class Desk:
    """All photos, who listens to events, and how the server misbehaves on demand."""

    def __init__(self, photos, classes=("crack",)):
        self.photos = {photo.id: photo for photo in photos}
        self.classes, self.finished, self.listeners = list(classes), None, []
        self.down = False  # connections are cut without an answer
        self.delay = 0  # seconds before an edit is made
        self.deaf = False  # edits are made, and the answer is lost
        self.silent = False  # no server-sent events
        self.asked, self.filed = [], None
        told = {"id": "e1", "name": "pier 2025/report", "own": False, "day": "2025-11-20"}
        self.earlier = [told | {"photos": 3}]
        self.lock = threading.Lock()

    def told(self):
        states = [photo.state for photo in self.photos.values()]
        progress = {"done": states.count("done"), "failed": states.count("failed")}
        progress |= {"total": len(states), "seconds_left": 12 if "running" in states else None}
        return {"name": "Bridge 12", "model": "fissura-base", "terms": "Apache-2.0", "unit": "mm",
                "classes": self.classes, "revision": 1, "progress": progress,
                "finished": self.finished}  # fmt: skip

    def say(self, event, data):
        for listener in self.listeners:
            listener.put(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    def work(self, photo):
        for state in ("running", "done"):
            time.sleep(0.15)
            photo.state = state
            self.say("photo", photo.summary())
            self.say("progress", self.told()["progress"])

    def add(self, name, content):
        try:
            Image.open(io.BytesIO(content)).load()
        except OSError:
            return {"name": name, "error": "This is not an image that can be read."}
        with self.lock:
            number = len(self.photos) + 1
            photo = Photo(number, name, *drawn_photo(number, (900, 600)))
            photo.state = "queued"
            self.photos[photo.id] = photo
        threading.Thread(target=self.work, args=[photo], daemon=True).start()
        return photo.summary()

    def finish(self, body):
        self.filed = body
        time.sleep(0.2)
        self.finished = {"report": "report.html", "pdf": "report.pdf" if body["pdf"] else None}
        if body.get("earlier"):
            self.finished["comparison"] = "comparison/comparison.html"
            self.finished["compared"] = ["Compared with pier 2025/report: 3 pairs of photos."]
        self.finished["training"] = "/photos/fissura-desk/training" if body["training"] else None
        self.say("finished", self.finished)


class Handler(BaseHTTPRequestHandler):
    """Answers of the fake desk."""

    protocol_version = "HTTP/1.1"
    desk: Desk

    def log_message(self, *_):
        pass

    def reply(self, content, kind="application/json", status=200):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", CSP)
        self.end_headers()
        self.wfile.write(content)

    def picture(self, image, kind):
        stream = io.BytesIO()
        image.save(stream, kind)
        self.reply(stream.getvalue(), f"image/{kind}")

    def cut(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self):
        if self.desk.down and self.path.startswith("/v1"):
            return self.cut()
        path = self.path.split("?")[0]
        parts = path.strip("/").split("/")
        if path == "/" or parts[0] == "page":
            file = PAGE / (parts[1] if parts[0] == "page" else "desk.html")
            kind = mimetypes.guess_type(file.name)[0] or "text/plain"
            return self.reply(file.read_bytes(), kind)
        if path == "/v1/desk":
            return self.reply(self.desk.told())
        if path == "/v1/events":
            self.events()
            return None
        if path == "/v1/earlier":
            return self.reply(self.desk.earlier)
        if parts[1] == "results":
            return self.reply(b"<title>Report</title>", "text/html")
        if path == "/v1/photos":
            return self.reply([photo.summary() for photo in self.desk.photos.values()])
        return self.photo(self.desk.photos[parts[2]], parts[3:])

    def photo(self, photo, rest):
        if not rest:
            return self.reply(photo.whole())
        if rest[0] == "history":
            return self.reply(photo.history)
        if rest[0] == "thumbnail.jpg":
            small = photo.photo.copy()
            small.thumbnail((240, 240))
            return self.picture(small, "jpeg")
        level, column, row = (int(re.sub(r"\..*", "", part)) for part in rest[1:])
        if rest[0] == "tiles":
            return self.picture(photo.tile(photo.photo, level, column, row), "jpeg")
        alpha = photo.tile(photo.mask, level, column, row)
        tile = Image.new("RGBA", alpha.size, "red")
        tile.putalpha(alpha)
        return self.picture(tile, "png")

    def events(self):
        if self.desk.silent:
            self.reply({"error": "no"}, status=404)
            return
        listener = queue.Queue()
        self.desk.listeners.append(listener)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        try:
            while not self.desk.down:
                try:
                    self.wfile.write(listener.get(timeout=0.2))
                except queue.Empty:
                    self.wfile.write(b": alive\n\n")
        except OSError:
            pass
        self.desk.listeners.remove(listener)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.desk.down:
            return self.cut()
        if self.headers["X-Fissura-Desk"] != "1":
            return self.reply({"error": "The header X-Fissura-Desk is missing."}, status=403)
        parts = self.path.strip("/").split("/")
        if self.path == "/v1/photos":
            return self.reply([self.desk.add(*file) for file in self.files(body)])
        data = json.loads(body)
        self.desk.asked.append((self.path, data))
        if self.path == "/v1/finish":
            threading.Thread(target=self.desk.finish, args=[data], daemon=True).start()
            return self.reply({"state": "running"}, status=202)
        time.sleep(self.desk.delay)
        photo = self.desk.photos[parts[2]]
        if parts[3] == "path":
            (ax, ay), (bx, by) = data["from"], data["to"]
            points = [[ax, ay], [(ax + bx) / 2, (ay + by) / 2 + 4], [bx, by]]
            return self.reply({"points": points, "width": 5.0})
        with self.desk.lock:
            if data["base_revision"] != photo.revision:
                stale = {"error": "The photo has changed.", "revision": photo.revision}
                return self.reply(stale, status=409)
            if data.get("text") == "refuse me":
                return self.reply({"error": "This note is refused."}, status=422)
            answer = photo.edited(data, parts[3])
        if self.desk.deaf:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
            return self.cut()
        return self.reply(answer)

    def files(self, body):
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + body)
        return [
            (part.get_filename(), part.get_payload(decode=True)) for part in message.iter_parts()
        ]


def serve(desk):
    """Serve a desk on a free port; return the server, whose thread runs already."""
    handler = type("Handler", (Handler,), {"desk": desk})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def drawn_desk(count=3, size=(900, 600), classes=("crack",)):
    """Return a desk of drawn photos."""
    names = [f"pier {number} north.jpg" for number in range(1, count + 1)]
    photos = [Photo(n, name, *drawn_photo(n, size)) for n, name in enumerate(names, 1)]
    return Desk(photos, classes)


if __name__ == "__main__":
    import sys

    desk = drawn_desk(5, (int(sys.argv[1]), int(sys.argv[2])), ("crack", "joint", "repair"))
    print(serve(desk).server_address)
    threading.Event().wait()
