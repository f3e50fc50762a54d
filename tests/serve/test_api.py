"""The HTTP API keeps its contract: figures, forms, jobs, limits, descriptions."""

import csv
import io
import threading
import time
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

import fissura
from fissura.inspection.exporters.tables import sensible
from fissura.serve.answers import Failed, Inspected, JobTold
from fissura.serve.app import create_app
from fissura.serve.options import Served, ServeOptions

# It finds cracks in panels that are drawn; the model by default has them for no photos.
MODEL = Path("crackseg-small")
WRITE = {"X-Fissura-Desk": "1"}


@pytest.fixture(scope="module")
def client():
    options = ServeOptions(max_megabytes=2, max_megapixels=1, queue=3)
    with TestClient(
        create_app(Served(model=MODEL, options=options)), base_url="http://127.0.0.1"
    ) as client:
        client.headers.update(WRITE)
        yield client


def send(client, *photos, address="/v1/inspect", **fields):
    files = [("photo", (name, content)) for name, content in photos]
    return client.post(address, files=files, data=fields)


def refused(response, status):
    assert response.status_code == status, response.text
    sentence = Failed.model_validate_json(response.content).error
    assert sentence.endswith((".", ")"))
    return sentence


def test_the_figures_are_those_of_inspect(client, jpeg, tmp_path):
    """Of a photo that was laid before both, column by column."""
    (tmp_path / "wall.jpg").write_bytes(jpeg)
    resolution = fissura.ResolutionOptions(mm_per_pixel=0.25)
    fissura.inspect(tmp_path / "wall.jpg", tmp_path / "out", model=MODEL, resolution=resolution)
    response = send(client, ("wall.jpg", jpeg), mm_per_pixel="0.25")
    assert response.status_code == 200, response.text
    photo = response.json()["photos"][0]
    for table, rows in (("cracks", photo["cracks"]), ("photos", [photo])):
        written = (tmp_path / "out" / f"{table}.csv").read_text(encoding="utf-8-sig")
        expected = list(csv.DictReader(io.StringIO(written)))
        assert len(rows) == len(expected) > 0
        for row, cells in zip(rows, expected, strict=True):
            for name in set(row) & set(cells) - {"photo", "reasons", "cracks"}:
                value = row[name]
                digits = "row" in name or "column" in name
                text = f"{value:.2f}" if digits and isinstance(value, float) else value
                if isinstance(text, float) and name != "mm_per_pixel":
                    text = sensible(text)
                assert ("" if text is None else str(text)) == cells[name], name
    mask = send(client, ("wall.jpg", jpeg), address="/v1/inspect?format=mask").content
    assert mask == (tmp_path / "out" / "masks" / "wall.png").read_bytes()


def test_photos_of_one_size_share_a_batch_and_keep_their_figures(client, photo_of):
    photos = [(f"{seed}.png", photo_of("PNG", seed=seed)) for seed in range(4)]
    alone = [send(client, photo).json()["photos"][0] for photo in photos]
    together = send(client, *photos).json()["photos"]
    for one, other in zip(alone, together, strict=True):
        assert one["photo"] == other["photo"]
        assert one["total_length_px"] == pytest.approx(other["total_length_px"], rel=1e-3)
    assert 'fissura_batch_photos_bucket{le="4.0"}' in client.get("/metrics").text


def test_a_bad_photo_costs_itself_alone(client, jpeg):
    response = send(client, ("good.jpg", jpeg), ("bad.jpg", b"nothing"), ("cut.jpg", jpeg[:2000]))
    told = Inspected.model_validate_json(response.content)
    assert [photo.photo for photo in told.photos] == ["good.jpg"]
    assert {one.photo for one in told.errors} == {"bad.jpg", "cut.jpg"}
    assert all(str(Path("/")) + "tmp" not in one.error for one in told.errors)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("application/json", "application/json"), ("image/png", "image/png"),
     ("application/zip", "application/zip"), ("*/*", "application/json")],
)  # fmt: skip
def test_accept_chooses_the_form(client, jpeg, accept, kind):
    files = [("photo", ("a.jpg", jpeg))]
    response = client.post("/v1/inspect", files=files, headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind)
    if kind == "application/zip":
        with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
            assert {"cracks.csv", "answer.json", "masks/a.png"} <= set(archive.namelist())
    if kind == "image/png":
        assert Image.open(io.BytesIO(response.content)).size == (160, 120)


def test_forms_and_fields_that_there_are_not(client, jpeg):
    photo = ("a.jpg", jpeg)
    assert "format" in refused(send(client, photo, address="/v1/inspect?format=pdf"), 422)
    html = client.post("/v1/inspect", files=[("photo", photo)], headers={"Accept": "text/html"})
    refused(html, 406)
    refused(send(client, photo, ("b.jpg", jpeg), address="/v1/inspect?format=mask"), 406)
    assert "mm_per_pixe" in refused(send(client, photo, mm_per_pixe="1"), 422)
    assert "no number" in refused(send(client, photo, mm_per_pixel="wide"), 422)
    assert "above 0" in refused(send(client, photo, mm_per_pixel="-1"), 422)
    assert "max_widht_mm" in refused(send(client, photo, limits="max_widht_mm: 1"), 422)
    refused(send(client, photo, limits="a: &a [1]\nmax_cracks: *a"), 422)
    refused(client.post("/v1/inspect", json={}), 415)
    refused(client.post("/v1/inspect", files=[("picture", photo)]), 422)
    refused(client.get("/v1/nothing"), 404)
    refused(client.get("/v1/inspect"), 405)


def test_limits_judge(client, jpeg):
    response = send(client, ("a.jpg", jpeg), limits="max_cracks: 0")
    photo = response.json()["photos"][0]
    assert photo["verdict"] == "fail"
    assert photo["reasons"]


def test_a_job_is_queued_done_fetched_and_deleted(client, jpeg):
    response = send(client, ("a.jpg", jpeg), address="/v1/jobs?lines=true")
    assert response.status_code == 202
    address = response.headers["location"]
    for _ in range(200):
        told = JobTold.model_validate_json(client.get(address).content)
        if told.state == "done":
            break
        time.sleep(0.05)
    assert told.state == "done"
    lines = client.get(told.links["json"]).json()["photos"][0]["cracks"][0]["lines"]
    assert all(len(point) == 2 for line in lines for point in line)
    for form in ("zip", "mask"):
        assert client.get(told.links[form]).status_code == 200
    folder = client.app.state.jobs.get(told.id).folder
    assert folder.is_dir()
    assert client.delete(address).status_code == 204
    assert not folder.exists()
    refused(client.get(address), 404)


def test_a_full_queue_says_when_to_come_again(client, jpeg):
    """The worker is held, so that the queue fills up."""
    go_on = threading.Event()
    held = client.app.state.worker.call(lambda: go_on.wait(20), desk=False)
    jobs = [send(client, ("a.jpg", jpeg), address="/v1/jobs") for _ in range(3)]
    assert [job.status_code for job in jobs] == [202, 202, 202]
    assert client.get(jobs[0].headers["location"]).json()["state"] == "queued"
    refusal = send(client, ("a.jpg", jpeg))
    assert "3 inspections are under way" in refused(refusal, 429)
    assert int(refusal.headers["retry-after"]) >= 1
    assert client.get(f"{jobs[0].headers['location']}/result").status_code == 409
    for job in jobs:
        assert client.delete(job.headers["location"]).status_code == 204
    go_on.set()
    held.result(20)
    assert send(client, ("a.jpg", jpeg)).status_code == 200


def test_nothing_is_left_on_disk(client, jpeg):
    root = client.app.state.jobs.root
    before = len(list(root.iterdir()))
    for address in ("/v1/inspect", "/v1/inspect?format=zip", "/v1/inspect?format=mask"):
        assert send(client, ("a.jpg", jpeg), address=address).status_code == 200
    refused(send(client, ("a.jpg", b"nothing")), 415)
    assert len(list(root.iterdir())) == before


def test_too_many_bytes_and_pixels(client, photo_of):
    assert "MB" in refused(send(client, ("a.jpg", b"x" * 3_000_000)), 413)
    wide = photo_of("PNG", height=10, width=100_001)
    assert "megapixels" in refused(send(client, ("a.png", wide)), 413)


def test_openapi_is_true(client, jpeg):
    described = client.get("/openapi.json").json()
    routes = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert {
        ("post", "/v1/inspect"), ("post", "/v1/jobs"), ("get", "/v1/jobs/{job_id}"),
        ("get", "/v1/jobs/{job_id}/result"), ("delete", "/v1/jobs/{job_id}"),
        ("get", "/healthz"), ("get", "/metrics"),
    } <= routes  # fmt: skip
    response = send(client, ("a.jpg", jpeg), address="/v1/inspect?lines=true")
    Inspected.model_validate_json(response.content, strict=True)
    inspect = described["paths"]["/v1/inspect"]["post"]
    form = inspect["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"photo", "limits", "mm_per_pixel"} <= set(form["properties"])
    for status in ("403", "408", "413", "415", "422", "429"):
        schema = inspect["responses"][status]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("/Failed")


def test_health_and_metrics(client):
    health = client.get("/healthz").json()
    assert health["status"] == "ok"
    assert health["version"] == fissura.__version__
    text = client.get("/metrics").text
    assert 'fissura_requests_total{method="GET",route="/healthz",status="200"}' in text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) >= 0
