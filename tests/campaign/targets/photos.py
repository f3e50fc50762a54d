"""Targets: photos, masks, georeferenced images and videos."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .models import write_model
from .target import Target, fissura

HEIGHT, WIDTH = 40, 56
# How each file is written, by its name.
PHOTOS = (
    "rgb.png", "deep.png", "palette.png", "gray.png", "alpha.png", "exif.jpg", "progressive.jpg",
    "plain.tif", "deflate.tif", "deep.tif", "float.tif", "bmp.bmp", "lossy.webp", "gif.gif",
    "phone.heic",
)  # fmt: skip


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a wall with a dark line, (h, w, 3), and its mask."""
    chance = np.random.default_rng(seed)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.polylines(mask, [np.array([[3, 30], [20, 12], [50, 20]], np.int32)], False, 255, 3)
    image = chance.normal(170, 5, (HEIGHT, WIDTH, 3)) - 0.5 * mask[..., None]
    return image.clip(0, 255).astype(np.uint8), mask


def write_photo(name: str) -> None:
    """Write the drawn photo in a format."""
    image, _ = drawn()
    photo = Image.fromarray(image)
    stem, suffix = name.split(".")
    exif = Image.Exif()
    exif[274], exif[271], exif[306] = 6, "Maker", "2026:05:06 07:08:09"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 1.5), 3: "E", 4: (11.0, 34.0, 2.5)})
    exif.get_ifd(0x8769).update({36867: "2026:05:06 07:08:09", 37386: 4.2, 41989: 26})
    if stem == "deep":
        cv2.imwrite(name, image.astype(np.uint16) * 16)
    elif name == "float.tif":
        cv2.imwrite(name, image[..., 0].astype(np.float32))
    elif stem == "palette":
        photo.quantize(16).save(name)
    elif stem in ("gray", "alpha"):
        photo.convert({"gray": "L", "alpha": "RGBA"}[stem]).save(name)
    elif suffix == "jpg":
        photo.save(name, exif=exif, progressive=stem == "progressive")
    elif suffix == "tif":
        photo.save(name, compression="tiff_deflate" if stem == "deflate" else None, exif=exif)
    elif suffix == "heic":
        from fissura.data.images import register_heif

        register_heif()
        photo.save(name, exif=exif.tobytes())
    else:
        photo.save(name)


def write_photos() -> None:
    """Write the drawn photo in every format."""
    for name in PHOTOS:
        write_photo(name)


def read_photo(file: Path) -> None:
    """Read a photo and what is known of it, as prediction and inspection do."""
    from fissura.bit_depth import common_depth
    from fissura.data.images import count_pixels, read_image, read_size
    from fissura.inspection.records.facts import local_date, read_exif

    count_pixels(file)
    facts = read_exif(file)
    facts.words()
    local_date(facts.taken)
    size = read_size(file)[1]
    image = read_image(file, depth=common_depth([file]))
    assert image.dtype == np.uint8
    assert image.shape == (*size, 3)


def write_masks() -> None:
    """Write the drawn mask in some formats."""
    _, mask = drawn()
    Path("masks").mkdir()
    for name in ("plain.png", "plain.tif", "plain.bmp", "lossy.jpg"):
        cv2.imwrite(f"masks/{name}", mask)
    cv2.imwrite("masks/deep.png", mask.astype(np.uint16) * 257)
    cv2.imwrite("masks/color.png", np.repeat(mask[..., None], 3, 2))
    Image.fromarray(mask // 255).save("masks/index.png")
    palette = Image.fromarray(mask // 255, "P")
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save("masks/palette.png")


def read_mask(file: Path) -> None:
    """Read a mask alone."""
    from fissura.data.masks.choose import read_mask_alone

    mask, words = read_mask_alone(file)
    assert mask.dtype == bool
    assert mask.ndim == 2
    assert words


def write_geotiffs() -> None:
    """Write georeferenced photos: gray and colors, in strips and tiles, compressed or not."""
    import rasterio
    from rasterio.transform import from_origin

    image, mask = drawn()
    deep = image.astype(np.uint16) * 8
    common = {"driver": "GTiff", "height": HEIGHT, "width": WIDTH, "crs": "EPSG:32632"}
    common["transform"] = from_origin(690_000, 5_330_000, 0.002, 0.002)
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    for name, values, profile in (
        ("plain", image, {}), ("tiled", image, tiled | {"compress": "deflate"}),
        ("deep", deep, {"compress": "lzw", "nodata": 0}), ("mask", mask[..., None], {}),
        ("float", image[..., :1].astype(np.float32), {"nodata": float("nan")}),
        ("jpeg", image, {"compress": "jpeg", "photometric": "ycbcr", **tiled}),
    ):  # fmt: skip
        kind = {"count": values.shape[2], "dtype": str(values.dtype)}
        with rasterio.open(f"{name}.tif", "w", **common, **kind, **profile) as file:
            file.write(np.moveaxis(values, 2, 0))


def read_geotiff(file: Path) -> None:
    """Read a raster by windows, and its preview, as prediction of large images does."""
    from fissura.raster import open_raster, preview

    with open_raster(file) as raster:
        height, width = raster.size_hw
        for top in range(0, min(height, 64), 32):
            window = top, 0, min(top + 32, height), min(width, 64)
            pixels = raster.read(*window)
            assert pixels.shape == (window[2] - top, window[3], 3)
            valid = raster.valid(*window)
            assert valid is None or valid.shape == pixels.shape[:2]
        if height * width <= 10_000:
            preview(raster, longest=32)


def predict_photo(file: Path) -> int:
    """Predict the photos of the folder, the spoiled one among them."""
    return fissura("predict", "photos", "--model", "model", "--out", "out", "--device", "cpu")


def inspect_photo(file: Path) -> int:
    """Inspect the photos of the folder, the spoiled one among them."""
    return fissura("inspect", "photos", "--model", "model", "--out", "out", "--device", "cpu")


def few_photos() -> None:
    """Write three photos, one of which is georeferenced, and a model."""
    write_model()
    Path("photos").mkdir()
    for name in ("exif.jpg", "deep.png", "deflate.tif"):
        write_photo(name)
        Path(name).rename(f"photos/{name}")
    write_geotiffs()
    for file in Path().glob("*.tif"):
        if file.stem == "tiled":
            file.rename("photos/geo.tif")
        else:
            file.unlink()


def measure_masks(file: Path) -> int:
    """Measure the masks of the folder, the spoiled one among them."""
    return fissura("measure", "masks", "--out", "out")


def three_masks() -> None:
    """Write three masks in a folder."""
    write_masks()
    for file in sorted(Path("masks").iterdir())[3:]:
        file.unlink()


def write_video() -> None:
    """Write a video of a second."""
    import av

    with av.open("video.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for seed in range(8):
            image = cv2.resize(drawn(seed)[0], (64, 48))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def take_frames(file: Path) -> int:
    """Take the sharpest frames of a video."""
    return fissura("frames", file, "--out", "out")


TARGETS = (
    Target(name="photos", row="photos", make=write_photos, call=read_photo, share=300),
    Target(name="masks", row="masks", make=write_masks, call=read_mask, share=300),
    Target(name="georeferenced", row="GeoTIFFs", make=write_geotiffs, call=read_geotiff, share=300),
    Target(
        name="predict", row="photos", make=few_photos, call=predict_photo, files=("photos/*",),
        share=3,
    ),
    Target(
        name="inspect", row="photos", make=few_photos, call=inspect_photo, files=("photos/*",),
        share=3,
    ),
    Target(name="measure", row="masks", make=three_masks, call=measure_masks, share=3),
    Target(name="frames", row="videos", make=write_video, call=take_frames, share=30),
)  # fmt: skip
