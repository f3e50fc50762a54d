"""The training step as a CUDA graph: recorded once, then launched whole, at the cost of one launch.

A small network's step is hundreds of kernels of a few microseconds each, and launching them one by
one takes longer than running them. A graph replays the same kernels on the same memory, so that a
step here has two parts. `fill` writes what changes from step to step into tensors that stay where
they are: which images, the draws of the augmentation, its noise, the learning rate. `compute` goes
from these to changed weights, and is what is captured: gather, augment, normalize, forward, loss,
backward, clip, optimize. Both also run directly, on any device, with the results of `train_step`.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fissura.data.augment import Draw, apply, draw, fill_with_noise
from fissura.data.batches import step_seed
from fissura.training.optimize import update_average
from fissura.training.session import Session
from fissura.training.step import Step, optimize, train_step

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8
    from numpy.typing import NDArray

# Records what a function does on the device and returns a function that does it again.
Capture = Callable[[Callable[[], None]], Callable[[], None]]

TRIES = 3  # steps before a capture, in which libraries set up what they need, and after it
TOLERANCE = 0.02  # relative, between the losses of both: a GPU's sums differ in the last bits

log = logging.getLogger(__name__)


def fastest_step(session: Session) -> Step:
    """Return `train_step`, or its equal as a CUDA graph for a training that has a GPU to itself."""
    if session.fabric.device.type == "cuda" and session.fabric.world_size == 1:
        return GraphedStep(session, graph_capture())
    return train_step


def new_stream() -> Callable[[], AbstractContextManager[Any]]:
    """Return what puts a block's work on the GPU on a stream of its own; nothing without a GPU.

    Graphs can't be captured on the default stream. They are captured on the stream that they run
    on: matrix products have one workspace per stream in some versions of torch, and a graph goes on
    using that of its capture.
    """
    if not torch.cuda.is_available():
        return nullcontext
    return partial(torch.cuda.stream, torch.cuda.Stream())


def graph_capture() -> Capture:
    """Return what captures CUDA graphs on the current stream, which must not be the default one.

    All its graphs share their memory, so one must end before the next starts, and nothing made in
    one may be used after it: results go to tensors from before the capture.
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(compute: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream()
        # Another thread, of this program or a library's, may go on using the GPU meanwhile.
        recording = torch.cuda.graph(
            graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        )
        # To free another graph, as the garbage collector might, would end this one's capture.
        collecting = gc.isenabled()
        gc.disable()
        try:
            with recording:
                compute()
        finally:
            if collecting:
                gc.enable()
        return graph.replay

    return capture


@dataclass(frozen=True)
class StaticInputs:
    """What a captured step reads, and the loss that it writes, each always in the same memory.

    indices:      of the batch in the training's images.
    image, mask:  the batch itself, where crops are cut at random.
    draws, noise: of the augmentation: `Draw.pack`, and standard normal values.
    """

    indices: Int[Tensor, " n"]
    image: UInt8[Tensor, "n 3 h w"] | None
    mask: UInt8[Tensor, "n 1 h w"] | None
    draws: Float[Tensor, "11 n"]
    noise: Float[Tensor, "n 3 h w"]
    rate: Float[Tensor, ""]
    loss: Float[Tensor, ""]

    @classmethod
    def empty(cls, session: Session, size: int) -> StaticInputs:
        """Make the tensors for batches of `size`."""
        device, crop, images = session.fabric.device, session.crop, session.train.images
        height, width = images[0].shape[1:] if crop is None else (crop, crop)

        def make(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            indices=make(size, dtype=torch.int64),
            image=None if crop is None else make(size, 3, height, width, dtype=torch.uint8),
            mask=None if crop is None else make(size, 1, height, width, dtype=torch.uint8),
            draws=make(11, size),
            noise=make(size, 3, height, width),
            # A GPU's optimizers read it as float32, a CPU's as the float that it was.
            rate=make(dtype=torch.float64 if device.type == "cpu" else torch.float32),
            loss=make(),
        )


def fill(
    inputs: StaticInputs,
    session: Session,
    indices: NDArray[np.int64],
    *,
    epoch: int,
    step: int,
    rate: float,
) -> None:
    """Write what this step works on; the draws are those of `train_step`. Waits for no device."""
    seed = step_seed(session.config.seed, epoch, step, session.fabric.global_rank)
    torch.manual_seed(seed)
    if inputs.image is not None and inputs.mask is not None:
        rng = np.random.default_rng(seed)
        image, mask = session.train.batch(indices, crop=session.crop, rng=rng)
        inputs.image.copy_(image)
        inputs.mask.copy_(mask)
    else:
        _send(torch.from_numpy(indices), inputs.indices)
    if session.config.augment:
        generator = torch.Generator().manual_seed(seed)
        count, _, height, width = inputs.noise.shape
        _send(draw(count, generator, square=height == width).pack(), inputs.draws)
        fill_with_noise(inputs.noise, generator)
    inputs.rate.fill_(rate)


def compute(inputs: StaticInputs, session: Session) -> None:
    """Take the step that `inputs` describe and write its loss there.

    On a GPU it copies nothing from the host, waits for nothing and knows every shape beforehand.
    """
    if inputs.image is not None and inputs.mask is not None:
        image, mask = inputs.image, inputs.mask
    else:
        store = session.train
        assert isinstance(store.images, Tensor)
        assert isinstance(store.masks, Tensor)
        image = store.images.index_select(0, inputs.indices)
        mask = store.masks.index_select(0, inputs.indices)
    if session.config.augment:
        image, mask = apply(image, mask, Draw.unpack(inputs.draws), inputs.noise)
    for group in session.optimizer.param_groups:
        group["lr"] = inputs.rate
    inputs.loss.copy_(optimize(session, image, mask))


def captured(inputs: StaticInputs, session: Session, capture: Capture) -> Callable[[], None]:
    """Return `compute(inputs, session)` captured; the weights are afterwards what they were before.

    Raises `RuntimeError` where the network draws random numbers, or where replaying does not lead
    to the losses of computing; and whatever `capture` raises.
    """
    run = partial(compute, inputs, session)
    restore = _snapshot(session)
    try:
        before = _random_state(session.fabric.device)
        expected = _losses(run, inputs)
        if not torch.equal(before, _random_state(session.fabric.device)):
            raise RuntimeError("the network draws random numbers.")
        restore()
        groups = [group for group in session.optimizer.param_groups if "capturable" in group]
        for group in groups:
            # Adam asks for this promise during a capture; its fused form is capturable anyway.
            group["capturable"] = True
        try:
            replay = capture(run)
        finally:
            for group in groups:
                group["capturable"] = False
        found = _losses(replay, inputs)
    finally:
        restore()
    if not torch.allclose(found, expected, rtol=TOLERANCE, equal_nan=True):
        raise RuntimeError(
            f"replayed steps had the losses {found.tolist()}, not {expected.tolist()}."
        )
    return replay


class GraphedStep:
    """`train_step` of one session, captured on the first step of each batch size, then replayed.

    capture: `graph_capture()`; None computes directly each time.

    Where a step can't be captured, or replaying it does not lead to the losses of computing it,
    one line in the log says why, the weights are left as they were, and `train_step` takes over.

    So it is with networks that draw random numbers, for dropout and its like. Before pytorch's pull
    request 176752 all graphs read their seed from one place on the device, which each replay writes
    first: of trainings on several streams, one could get another's. Kernels launched one by one get
    theirs with the launch.
    """

    def __init__(self, session: Session, capture: Capture | None) -> None:
        self.session = session
        self.capture = capture
        self.failed = False
        self.ready: dict[int, tuple[StaticInputs, Callable[[], None]]] = {}

    def __call__(
        self, session: Session, indices: NDArray[np.int64], *, epoch: int, step: int, rate: float
    ) -> Float[Tensor, ""]:
        """Draw a batch, take one step of the optimizer, return the loss (on the device)."""
        if session is not self.session:
            raise ValueError("A graphed step works on the session that it was made for.")
        where = {"epoch": epoch, "step": step, "rate": rate}
        if len(indices) not in self.ready and not self.failed:
            self._prepare(indices, where)
        if self.failed:
            return train_step(session, indices, **where)
        inputs, run = self.ready[len(indices)]
        fill(inputs, session, indices, **where)
        run()
        for group in session.optimizer.param_groups:
            group["lr"] = rate  # a number again, for the saved state and the metrics
        if session.average is not None:
            # Not captured, as its first update is another than the rest.
            update_average(session.average, session.network)
        return inputs.loss.clone()

    def _prepare(self, indices: NDArray[np.int64], where: dict[str, Any]) -> None:
        """Make ready for batches of this size, or note that it can't be done."""
        try:
            inputs = StaticInputs.empty(self.session, len(indices))
            if self.capture is None:
                run = partial(compute, inputs, self.session)
            else:
                fill(inputs, self.session, indices, **where)
                run = captured(inputs, self.session, self.capture)
            self.ready[len(indices)] = inputs, run
        except Exception as error:  # of a driver, a library, a network: any kind
            self.failed = True
            self.ready.clear()
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            log.warning("Training without a CUDA graph, which may be slower: %s", reason)


def _losses(run: Callable[[], None], inputs: StaticInputs) -> Float[Tensor, " tries"]:
    """Return the losses of a few steps on the same batch."""
    losses = []
    for _ in range(TRIES):
        run()
        losses.append(inputs.loss.clone())
    return torch.stack(losses)


def _snapshot(session: Session) -> Callable[[], None]:
    """Remember weights, buffers and the optimizer's state; return what writes them back, in place.

    State that the optimizer has made since is set to zero, which it starts from.
    """
    tensors = [*session.network.parameters(), *session.network.buffers()]
    kept = [tensor.detach().clone() for tensor in tensors]
    state = {
        (parameter, name): value.clone()
        for parameter, values in session.optimizer.state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }

    @torch.no_grad()
    def restore() -> None:
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
        for parameter, values in session.optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    old = state.get((parameter, name))
                    value.zero_() if old is None else value.copy_(old)
        session.optimizer.zero_grad(set_to_none=True)

    return restore


def _random_state(device: torch.device) -> Tensor:
    """Return the state of the generators that networks draw from."""
    if device.type != "cuda":
        return torch.get_rng_state()
    return torch.cat([torch.get_rng_state(), torch.cuda.get_rng_state(device)])


def _send(values: Tensor, to: Tensor) -> None:
    """Copy from the host without waiting for the device."""
    # From pinned memory, of which torch knows when the copy is done and it may be used again.
    to.copy_(values.pin_memory() if to.is_cuda else values, non_blocking=True)
