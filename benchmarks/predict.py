"""How many megapixels per second does prediction do, beside a sliding window over one network?"""

from __future__ import annotations

import copy
import math
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from side_by_side import Goal, Result, arguments, finish, in_turn, timed
from situations import in_situations
from torch import Tensor, nn

from fissura.checkpoint import ModelConfig, save_model
from fissura.data.images import read_image
from fissura.data.synthetic import draw_panel
from fissura.device import choose_device
from fissura.inference.files.folder import predict
from fissura.inference.files.results import write_photo
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inference.tiling import blend_tiles
from fissura.models import build_model
from fissura.models.normalize import normalize

QUESTION = "How many megapixels per second does prediction do, beside a sliding window?"
# The largest that this machine does in time. All but the first are a whole number of MONAI's
# windows, of 512 pixels every 384, so that none of them overlap more than they must.
SIZES_HW = ((1536, 2048), (1280, 1664), (896, 1280), (896, 896), (512, 896), (512, 512))
SECONDS = 70  # for each of the two cases of one image
PHOTO_HW, PHOTOS = (384, 544), 60
STEPS = 60
MONAI_32, MONAI_16 = "MONAI, float32", "MONAI, bfloat16, channels last"
OURS_32, OURS_16 = "ours, float32", "ours, bfloat16"
OPENVINO_32, OPENVINO_16 = "ours, OpenVINO, float32", "ours, OpenVINO, bfloat16"
PLAIN, MERGED = "our tiles, float32, plain network", "our tiles, float32, merged network"
WHOLE = "the whole image at once, float32"
SIDE_BY_SIDE = (MONAI_32, MONAI_16, OURS_32, OURS_16, OPENVINO_32, OPENVINO_16)


def main() -> None:
    parser = arguments(QUESTION)
    asked = parser.parse_args()
    device = choose_device(asked.device)
    repeats = asked.repeats or (3 if device.type == "cpu" else 10)
    result = Result(QUESTION, unit="megapixels")
    torch.manual_seed(0)
    model = trained(device)
    print("trained", flush=True)
    config = ModelConfig(model="crackseg", options={"width": 16})
    one_image(result, model, config, device, repeats)
    if device.type == "cpu":
        situations(result, model, config, device)
    many_photos(result, model, config, device, repeats)
    finish("predict", result, asked)


def trained(device: torch.device) -> nn.Module:
    """Return CrackSeg of width 16 after some steps on synthetic panels: masks with sense."""
    panels = [draw_panel(0, index, size_hw=(160, 160)) for index in range(48)]
    card = ModelConfig(model="crackseg", options={})
    images = torch.stack([torch.from_numpy(panel.image) for panel in panels]).permute(0, 3, 1, 2)
    images = normalize(images.to(device), card.mean, card.std)
    masks = torch.stack([torch.from_numpy(panel.mask > 0) for panel in panels])
    masks = masks[:, None].float().to(device)
    model = build_model("crackseg", width=16).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(STEPS):
        chosen = torch.arange(6) + 6 * (step % 8)
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(images[chosen])
        loss = F.binary_cross_entropy_with_logits(logits.float(), masks[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def one_image(
    result: Result,
    model: nn.Module,
    config: ModelConfig,
    device: torch.device,
    repeats: int,
) -> None:
    """Time one large image, and check that all ways find the same cracks."""
    height, width = size_hw = affordable(model, config, device, repeats + 1)
    image = draw_panel(7, 0, size_hw=size_hw).image
    case = f"one image of {height}×{width}"
    result.work[case] = height * width / 1e6
    ways = probabilities(model, config, image, device)
    compare(result, {name: way() for name, way in ways.items()}, device)
    seconds = in_turn(ways, repeats=repeats, warmup=0, device=device)
    print(f"{case}: done", flush=True)
    result.seconds[case] = seconds
    fastest = min((statistics.median(seconds[name]), name) for name in ways if "bfloat16" in name)
    best = fastest[1] if "ours" in fastest[1] else OURS_16
    result.goals += [
        Goal(case, best, MONAI_32, at_least=6),
        Goal(case, OURS_32, MONAI_32, at_least=3),
        Goal(case, OURS_16, MONAI_16),
        Goal(case, OURS_32, WHOLE),
    ]
    steps(result, case)
    fractions(result, case, model, config, image, device)


def situations(result: Result, model: nn.Module, config: ModelConfig, device: torch.device) -> None:
    """Time one image on a machine that is alone with it, and on one that has other work as well."""
    # Three rounds and one before them, in three situations, of which two take twice the time.
    height, width = size_hw = affordable(model, config, device, 4 * 5, peers=SIDE_BY_SIDE)
    image = draw_panel(7, 0, size_hw=size_hw).image
    ways = probabilities(model, config, image, device)
    ways = {name: way for name, way in ways.items() if name in SIDE_BY_SIDE}
    case = f"one image of {height}×{width}, in three situations"
    result.situations[case] = in_situations(ways, seconds=SECONDS, device=device)
    result.goals += [
        Goal(case, ours, peer)
        for ours, peer in (
            (OURS_32, MONAI_32), (OURS_16, MONAI_32), (OURS_16, MONAI_16),
            (OURS_32, OPENVINO_32), (OURS_16, OPENVINO_16),
        )
        if ours in ways and peer in ways
    ]  # fmt: skip


def affordable(
    model: nn.Module,
    config: ModelConfig,
    device: torch.device,
    repeats: int,
    peers: tuple[str, ...] | None = None,
) -> tuple[int, int]:
    """Return the largest of the sizes that all ways do so often in time, by a trial of each."""
    smallest = SIZES_HW[-1]
    ways = probabilities(model, config, draw_panel(7, 0, size_hw=smallest).image, device)
    chosen = [way for name, way in ways.items() if peers is None or name in peers]
    for way in chosen:  # the first call of an engine compiles
        way()
    per_pixel = sum(timed(way, 1, device) for way in chosen) / math.prod(smallest)
    fitting = [
        size_hw for size_hw in SIZES_HW if repeats * per_pixel * math.prod(size_hw) < SECONDS
    ]
    size_hw = fitting[0] if fitting else smallest
    print(
        f"one image of {size_hw[0]}×{size_hw[1]}: {1e6 * per_pixel:.1f} s a megapixel", flush=True
    )
    return size_hw


def probabilities(
    model: nn.Module, config: ModelConfig, image: NDArray[np.uint8], device: torch.device
) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """Each way, from the 8-bit image to probabilities on the host."""
    contiguous = copy.deepcopy(model).to(memory_format=torch.contiguous_format)

    def x(layout: torch.memory_format) -> Tensor:
        pixels = torch.from_numpy(image).to(device)[None].permute(0, 3, 1, 2)
        return normalize(pixels, config.mean, config.std).contiguous(memory_format=layout)

    def monai(network: nn.Module, layout: torch.memory_format, reduced: bool) -> Callable:
        # Four windows at once were the faster choice on the CPU that this was written on.
        def run() -> NDArray[np.float32]:
            lower = torch.autocast(device.type, torch.bfloat16) if reduced else nullcontext()
            with torch.inference_mode(), lower:
                logits = sliding_window_inference(
                    x(layout), 512, 4, network, overlap=0.25, mode="gaussian"
                )
            return logits[0, 0].float().sigmoid().cpu().numpy()

        return run

    @torch.inference_mode()
    def whole() -> NDArray[np.float32]:
        return contiguous(x(torch.contiguous_format))[0, 0].sigmoid().cpu().numpy()

    @torch.inference_mode()
    def plain_tiles() -> NDArray[np.float32]:
        def prob(tiles: Tensor) -> Tensor:
            pixels = tiles.to(device).permute(0, 3, 1, 2)
            return model(normalize(pixels, config.mean, config.std))[:, 0].sigmoid()

        at_once = 1 if device.type == "cpu" else 8
        return blend_tiles(torch.from_numpy(image), prob, batch_size=at_once).cpu().numpy()

    def ours(**options: str | int) -> Callable[[], NDArray[np.float32]]:
        predictor = Predictor(
            copy.deepcopy(model),
            config,
            PredictOptions(device=str(device), **options),  # type: ignore
        )
        return lambda: predictor.prob(image)

    ways = {
        MONAI_32: monai(contiguous, torch.contiguous_format, reduced=False),
        MONAI_16: monai(model, torch.channels_last, reduced=True),
        WHOLE: whole,
        PLAIN: plain_tiles,
        MERGED: ours(precision="float32", tile=512),
        OURS_32: ours(precision="float32"),
        OURS_16: ours(precision="bfloat16"),
    }
    if device.type == "cpu" and find_spec("openvino"):
        ways[OPENVINO_32] = ours(precision="float32", engine="openvino")
        ways[OPENVINO_16] = ours(precision="bfloat16", engine="openvino")
    return ways


def compare(result: Result, probs: dict[str, NDArray[np.float32]], device: torch.device) -> None:
    """Compare masks with the whole image's, at a threshold that marks 3 % of it."""
    exact = probs[WHOLE]
    threshold = float(np.quantile(exact, 0.97))
    mask = exact >= threshold
    for name, prob in probs.items():
        found = prob >= threshold
        iou = np.count_nonzero(found & mask) / np.count_nonzero(found | mask)
        off = np.abs(prob - exact).max()
        result.checked.append(
            f"{name}: IoU {iou:.5f} with the mask of the whole image in float32, at the threshold "
            f"{threshold:.2f}; probabilities off by {off:.1g} at most."
        )
        if name in (OURS_32, OURS_16):
            # On a GPU torch's convolutions of float32 compute in TF32, which has 10 bits.
            least = 0.999 if name == OURS_32 and device.type == "cpu" else 0.99
            assert iou >= least, f"{name} finds other cracks: IoU {iou:.5f}"


def steps(result: Result, case: str) -> None:
    """Say where the gain comes from: each step's factor, and what OpenVINO does."""
    seconds = {name: statistics.median(values) for name, values in result.seconds[case].items()}
    chain = [
        (MONAI_32, PLAIN, "channels-last layout and our tiles"),
        (PLAIN, MERGED, "BatchNorm in the weights, doubling and concatenation in the convolutions"),
        (MERGED, OURS_32, "bands of rows instead of tiles"),
        (OURS_32, OURS_16, "bfloat16"),
    ]
    factors = [f"{what} {seconds[before] / seconds[after]:.2f}×" for before, after, what in chain]
    result.notes.append(f"The gain over {MONAI_32}, step by step: {'; '.join(factors)}.")
    if OPENVINO_32 in seconds:
        result.notes.append(
            f"OpenVINO computes in tiles, {seconds[MERGED] / seconds[OPENVINO_32]:.2f} times as "
            "fast as our merged network in the same tiles, "
            f"{seconds[OURS_32] / seconds[OPENVINO_32]:.2f} times as fast as the bands (float32), "
            f"{seconds[OURS_16] / seconds[OPENVINO_16]:.2f} times in bfloat16."
        )


def fractions(
    result: Result,
    case: str,
    model: nn.Module,
    config: ModelConfig,
    image: NDArray[np.uint8],
    device: torch.device,
) -> None:
    """Say where the time of ours goes: the network, its input, the rest."""
    height, width = image.shape[:2]
    for name, precision in ((OURS_32, "float32"), (OURS_16, "bfloat16")):
        predictor = Predictor(
            copy.deepcopy(model), config, PredictOptions(device=str(device), precision=precision)
        )
        network = predictor.network.streaming
        assert network is not None
        pixels = torch.from_numpy(image)

        def bands(seen=predictor.network, pixels=pixels, cores=1) -> Iterator[Tensor]:
            return seen.network_bands(pixels, seen.rows_at_once(height, width, cores))

        @torch.inference_mode()
        def stream(network=network, predictor=predictor, bands=bands) -> None:
            with predictor.network.stages() as stages:
                for _ in network.stream(bands(cores=stages.count), stages):
                    pass

        ways = {
            "input": lambda bands=bands: list(bands()),
            "network": stream,
            "all": lambda predictor=predictor: predictor.prob(image),
        }
        seconds = in_turn(ways, repeats=3, device=device)
        given, network_too, whole = (statistics.median(values) for values in seconds.values())
        result.notes.append(
            f"{name}: of {whole:.2f} s, the network with its input takes {network_too:.2f} s; "
            f"normalizing the pixels, alone, takes {given:.2f} s."
        )


def many_photos(
    result: Result, model: nn.Module, config: ModelConfig, device: torch.device, repeats: int
) -> None:
    """Time a folder of small photos from file to file, beside its parts one by one."""
    height, width = PHOTO_HW
    case = f"{PHOTOS} JPEG files of {height}×{width} at scale 0.25"
    result.work[case] = PHOTOS * height * width / 1e6
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder / "model", model, config)
        files = [folder / "photos" / f"{index}.jpg" for index in range(PHOTOS)]
        files[0].parent.mkdir()
        for index, file in enumerate(files):
            Image.fromarray(draw_panel(9, index % 6, size_hw=PHOTO_HW).image).save(file, quality=92)
        images = [read_image(file) for file in files]
        predictor = Predictor.load(folder / "model", device=str(device), scale=0.25)
        found = list(predictor.compact(images))
        outs = (folder / f"out{index}" for index in range(10**6))

        def command() -> None:
            predict(
                folder / "photos",
                next(outs),
                model=folder / "model",
                options=PredictOptions(scale=0.25, device=str(device)),
                console=Console(quiet=True),
            )

        def write() -> None:
            out = next(outs)
            for index, (image, prediction) in enumerate(zip(images, found, strict=True)):
                write_photo(out, str(index), image.copy(), prediction, overlays=True)

        ways = {
            "fissura predict, without its start": command,
            "reading alone": lambda: [read_image(file) for file in files],
            "predicting alone": lambda: list(predictor.compact(images)),
            "writing alone": write,
        }
        seconds = in_turn(ways, repeats=repeats, device=device)
    result.seconds[case] = seconds
    whole, *parts = (statistics.median(values) for values in seconds.values())
    result.notes.append(
        f"{case}: reading, predicting and writing one after the other take {sum(parts):.2f} s, the "
        f"command, which overlaps them and loads the model, {whole:.2f} s."
    )


if __name__ == "__main__":
    main()
