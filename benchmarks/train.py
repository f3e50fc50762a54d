"""How many images per second does training do, beside the loop that people write?

    python benchmarks/train.py [--repeats 3] [--device auto] [--no-record]

Ours is the step of `fissura train`: draw a batch, augment, normalize, forward, loss, backward,
optimize, look at the loss now and then. The usual loop is torch's DataLoader with 0, 1 or 2
workers, albumentations with the same policy in 8 bits, autocast, channels-last, Adam, and the same
loss from segmentation-models-pytorch; the fastest of them is the peer. Network (CrackSeg, width
16), initial weights, images, batch (16) and precision are the same. Images lie decoded in memory
for both; one way reads JPEG files as most people do.

The bound is the network's own forward and backward pass on a fixed batch. Each side has a process
of its own, because a process has one way to handle memory; they work in turn.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from side_by_side import Goal, Result, arguments, finish, in_turn
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fissura.data.augmentation.policy import augment
from fissura.data.preparation.batches import epoch_batches
from fissura.data.preparation.load import PreparedSet
from fissura.data.preparation.protocols import choose_protocol
from fissura.data.synthetic import draw_panel
from fissura.device import choose_device, choose_precision
from fissura.memory import keep_freed_memory
from fissura.models import build_model
from fissura.models.normalize import normalize
from fissura.training.build import begin
from fissura.training.inputs import Inputs
from fissura.training.optimize import learning_rate
from fissura.training.options import TrainOptions
from fissura.training.processes.start import start_fabric
from fissura.training.session import Planned
from fissura.training.step import check_finite, train_step

QUESTION = "How many images per second does training do, beside the loop that people write?"
BATCH = 16
OURS, BOUND, FILES = "fissura train", "network alone", "usual loop, 0 workers, JPEG files"
SIDES = {96: 8, 128: 5, 256: 2, 512: 1}  # pixels: steps in one repetition


def config_of(device: torch.device, precision: str) -> TrainOptions:
    """The loss is one that segmentation-models-pytorch has, too: focal plus focal Tversky."""
    return TrainOptions(
        loss="hybrid-focal", symmetric=True, precision=precision, accelerator=device.type
    )  # fmt: skip


def pictures(side: int, count: int) -> PreparedSet:
    """Synthetic panels, as a data set that is ready to train on."""
    drawn = [draw_panel(0, index, size_hw=(side, side)) for index in range(min(count, 16))]
    panels = [drawn[index % len(drawn)] for index in range(count)]
    names = [f"{index:03}" for index in range(count)]
    return PreparedSet(
        images=[panel.image for panel in panels],
        masks=[panel.mask for panel in panels],
        names=names,
        groups=names,
        protocol=choose_protocol("native"),
        scale=1.0,
        mask_rule="",
        split_rule="",
        skipped=[],
    )


# --- ours --------------------------------------------------------------------------------------


class Ours:
    """The session and the steps of `fissura train`, and what its network takes alone."""

    def __init__(self, side: int, precision: str, device: torch.device, folder: Path) -> None:
        config, images = config_of(device, precision), pictures(side, BATCH * SIDES[side])
        self.device = device
        self.session, self.position = begin(
            Planned(folder / f"{side}-{precision}", folder, config),
            start_fabric(config),
            Inputs(images, None, "", ""),
            None,
        )
        self.ways = {OURS: self.train, BOUND: self.network_alone}
        image, self.mask = self.session.train.batch(np.arange(BATCH))
        card = self.session.card
        self.inputs = normalize(image.to(device), card.mean, card.std)

    @torch.no_grad()
    def first_loss(self) -> float:
        """The loss of the initial weights on the first images, as they are."""
        return float(self.session.loss(self.session.model(self.inputs), self.mask))

    def train(self) -> None:
        session, position, config = self.session, self.position, self.session.config
        batches = epoch_batches(len(session.train), BATCH, seed=0, epoch=position.epoch)
        for step, batch in enumerate(batches):
            rate = learning_rate(step, steps=len(batches), warmup=0, peak=config.learning_rate)
            position.loss_sum += train_step(
                session, batch, epoch=position.epoch, step=step, rate=rate
            )
        check_finite(session, position)
        position.epoch += 1

    def network_alone(self) -> None:
        for _ in range(SIDES[int(self.inputs.shape[-1])]):
            self.session.fabric.backward(self.session.model(self.inputs).sum())
            self.session.optimizer.zero_grad(set_to_none=True)

    def split(self) -> dict[str, float]:
        """Seconds that the parts of a step take, the fastest of three, each waited for."""
        return {
            part: min(each[part] for each in runs)
            for runs in [[dict(self._parts()) for _ in range(3)]]
            for part in runs[0]
        }

    def _parts(self) -> Iterator[tuple[str, float]]:
        session, generator = self.session, torch.Generator().manual_seed(0)
        card, batch = session.card, np.arange(BATCH)
        image, mask = yield from self._timed("data", lambda: session.train.batch(batch))
        image, mask = yield from self._timed("augment", lambda: augment(image, mask, generator))
        inputs = yield from self._timed("normalize", lambda: normalize(image, card.mean, card.std))
        logits = yield from self._timed("forward", lambda: session.model(inputs))
        at = logits.detach().requires_grad_()
        loss = yield from self._timed("loss", lambda: session.loss(at, mask))
        yield from self._timed("loss backward", lambda: loss.backward())
        yield from self._timed("backward", lambda: session.fabric.backward(logits, at.grad))
        yield from self._timed("optimize", session.optimizer.step)
        session.optimizer.zero_grad(set_to_none=True)

    def _timed(self, name: str, part: Callable[[], Any]) -> Iterator[tuple[str, float]]:
        wait(self.device)
        began = time.perf_counter()
        result = part()
        wait(self.device)
        yield name, time.perf_counter() - began
        return result


# --- the loop that people write ----------------------------------------------------------------


def policy() -> Any:
    """Fig. 2 in albumentations, and what every such loop ends its list with."""
    import albumentations as A

    both = A.Compose([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)])
    card = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    return A.Compose(
        [
            A.RandomRotate90(p=0.5),
            A.OneOf([A.HorizontalFlip(p=1), A.VerticalFlip(p=1), both], p=0.5),
            A.OneOf(
                [A.HueSaturationValue(20, 30, 20, p=1), A.RandomBrightnessContrast(0.2, 0.2, p=1)],
                p=0.5,
            ),
            A.GaussNoise(std_range=(10**0.5 / 255, 50**0.5 / 255), p=1),
            A.GaussianBlur(blur_limit=(1, 7), sigma_limit=(1, 8), p=1),
            A.Normalize(**card),
            A.ToTensorV2(),
        ]
    )


class Pictures(Dataset):
    """What one writes for a DataLoader; `folder` makes it read JPEG files."""

    def __init__(self, images: PreparedSet, folder: Path | None) -> None:
        self.images, self.folder, self.policy = images, folder, policy()
        if folder is not None:
            for name, image in zip(images.names, images.images, strict=True):
                cv2.imwrite(str(folder / f"{name}.jpg"), image[..., ::-1])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self.folder is None:
            image = self.images.images[index]
        else:
            image = cv2.imread(str(self.folder / f"{self.images.names[index]}.jpg"))
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        mask = self.images.masks[index].astype(np.float32)
        varied = self.policy(image=image, mask=mask)
        return varied["image"], varied["mask"][None]


class Usual:
    """The usual loop, once per number of workers."""

    def __init__(self, side: int, precision: str, device: torch.device, folder: Path) -> None:
        import segmentation_models_pytorch as smp

        cv2.setNumThreads(0)
        images = pictures(side, BATCH * SIDES[side])
        config = config_of(device, precision)
        dtype = choose_precision(config.precision, device)
        self.device = device
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)
        torch.manual_seed(config.seed)
        network = build_model("crackseg", width=16).to(device)
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.focal = smp.losses.FocalLoss("binary", gamma=2.0)
        self.tversky = smp.losses.TverskyLoss("binary", alpha=0.3, beta=0.7, gamma=0.75, smooth=1.0)
        self.images = images
        memory, files = Pictures(images, None), Pictures(images, folder)
        self.ways = {f"usual loop, {n} workers": self._loop(memory, n) for n in workers(side)}
        if side < 512:  # there, decoding is next to nothing beside the network
            self.ways[FILES] = self._loop(files, 0)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = logits.float()
        return self.focal(logits, target) + self.tversky(logits, target)

    @torch.no_grad()
    def first_loss(self) -> float:
        """The loss of the initial weights on the first images, as they are."""
        image = np.stack(self.images.images[:BATCH])
        mask = torch.from_numpy(np.stack(self.images.masks[:BATCH]))[:, None].float()
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        inputs = torch.from_numpy((image / 255 - mean) / std).permute(0, 3, 1, 2).float()
        with self.autocast:
            logits = self.network(inputs.to(self.device, memory_format=torch.channels_last))
        return float(self.loss(logits, mask.to(self.device)))

    def _loop(self, images: Pictures, count: int) -> Callable[[], None]:
        loader = DataLoader(
            images,
            BATCH,
            shuffle=True,
            num_workers=count,
            persistent_workers=count > 0,
            pin_memory=self.device.type == "cuda",
        )

        def run() -> None:
            total = 0.0
            for image, mask in loader:
                image = image.to(self.device, memory_format=torch.channels_last, non_blocking=True)
                mask = mask.to(self.device, non_blocking=True)
                self.optimizer.zero_grad()
                with self.autocast:
                    logits = self.network(image)
                loss = self.loss(logits, mask)
                loss.backward()
                self.optimizer.step()
                total += loss.item()

        return run


def workers(side: int) -> tuple[int, ...]:
    return (0, 2) if side == 512 else (0, 1, 2)


# --- both, each in its process -----------------------------------------------------------------


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def serve(connection: Any, kind: type, device: torch.device, threads: int) -> None:
    """Do what the parent asks for, in a process set up as `fissura train` or a script would be."""
    torch.set_num_threads(threads)
    stack = ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    if kind is Ours:
        keep_freed_memory()
    one: Any = None
    with stack:
        while (asked := connection.recv()) is not None:
            what, *rest = asked
            if what == "case":
                one = None
                one = kind(*rest, device, folder)
                connection.send(list(one.ways))
            elif what == "way":
                one.ways[rest[0]]()
                wait(device)
                connection.send(None)
            else:
                connection.send(getattr(one, what)())


class Process:
    """A process that measures one kind of loop."""

    def __init__(self, kind: type, device: torch.device) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        arguments = (theirs, kind, device, torch.get_num_threads())
        # No daemon: those may not have the workers of a DataLoader.
        self.process = context.Process(target=serve, args=arguments)
        self.process.start()

    def ask(self, *what: Any) -> Any:
        self.connection.send(what)
        return self.connection.recv()

    def ways(self, side: int, precision: str) -> dict[str, Callable[[], object]]:
        names = self.ask("case", side, precision)
        return {name: lambda name=name: self.ask("way", name) for name in names}

    def close(self) -> None:
        """Ask it to end; where it has broken, or does not listen, see that it does."""
        with suppress(BrokenPipeError):
            self.connection.send(None)
        self.process.join(timeout=10)
        self.process.kill()


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[Process, Process]]:
    both = Process(Ours, device), Process(Usual, device)
    try:
        yield both
    finally:
        for process in both:
            process.close()


def measure(result: Result, side: int, precision: str, repeats: int, device: torch.device) -> None:
    """One case: check that both loops begin alike, then time them in turn."""
    with processes(device) as (ours, usual):
        ways = ours.ways(side, precision) | usual.ways(side, precision)
        mine, theirs = ours.ask("first_loss"), usual.ask("first_loss")
        assert abs(mine / theirs - 1) < 2e-3, f"first losses differ: {mine} and {theirs}"
        case = f"{side}×{side}, {precision}"
        result.work[case] = BATCH * SIDES[side]
        # Not warmed up: `in_turn` calls each way once before it counts.
        result.seconds[case] = in_turn(ways, repeats=repeats, warmup=0)
        parts = ours.ask("split")
    loops = {way: times for way, times in result.seconds[case].items() if way.startswith("usual")}
    loops.pop(FILES, None)
    peer = min(loops, key=lambda way: statistics.median(loops[way]))
    least = 1.0 if side == 512 else 5.0 if device.type == "cuda" else 1.5
    result.goals.append(Goal(case, OURS, peer, at_least=least))
    if FILES in result.seconds[case]:
        result.goals.append(Goal(case, OURS, FILES))
    result.goals.append(Goal(case, OURS, BOUND, at_most=1.15 if side == 512 else None))
    result.checked.append(
        f"{case}: with the same weights, the first losses on 16 images as they are were "
        f"{mine:.5f} (ours) and {theirs:.5f} (usual loop)."
    )
    whole = sum(parts.values())
    shares = ", ".join(f"{name} {seconds / whole:.1%}" for name, seconds in parts.items())
    result.notes.append(f"A step at {case}: {shares}.")


def main() -> None:
    parser = arguments(QUESTION)
    parser.add_argument("--sides", type=int, nargs="+", default=list(SIDES), choices=SIDES)
    asked = parser.parse_args()
    device = choose_device(asked.device)
    fast = choose_precision("auto", device) == torch.bfloat16
    cases = [(side, "bfloat16" if fast else "float32") for side in asked.sides]
    cases += [(96, "float32")] if fast and 96 in asked.sides else []
    result = Result(QUESTION, unit="images")
    for side, precision in cases:
        measure(result, side, precision, asked.repeats or (2 if side == 512 else 3), device)
    finish("train", result, asked)


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
