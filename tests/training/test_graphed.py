"""The captured step against `train_step`: on the CPU bit by bit with stand-ins for the capture."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fissura.data.augment import Draw, apply
from fissura.data.batches import epoch_batches
from fissura.losses import LOSSES
from fissura.models import build_model
from fissura.models.normalize import normalize
from fissura.training.graphed import GraphedStep, graph_capture, new_stream
from fissura.training.inputs import read_inputs
from fissura.training.options import TrainOptions
from fissura.training.session import Planned, begin, start_fabric
from fissura.training.step import train_step

SMALL = TrainOptions(width=2, epochs=3, batch_size=5, precision="float32", accelerator="cpu")


def session_of(data, run, config):
    """A session before its first step, in which every weight is the same each time."""
    return begin(Planned(run, data, config), start_fabric(config), read_inputs(data, config), None)[
        0
    ]


def train_with(take_step, session, epochs=2):
    """Losses of all steps, and everything that they have changed."""
    losses = []
    for epoch in range(epochs):
        batches = epoch_batches(len(session.train), session.config.batch_size, seed=0, epoch=epoch)
        for step, batch in enumerate(batches):
            rate = 1e-2 / (1 + step)
            losses.append(take_step(session, batch, epoch=epoch, step=step, rate=rate))
    optimizer = session.optimizer.state_dict()
    average = {} if session.average is None else session.average.state_dict()
    changed = tree_leaves([session.network.state_dict(), optimizer["state"], average])
    return torch.stack(losses).cpu(), changed, optimizer["param_groups"]


def assert_same(ours, theirs):
    assert torch.equal(ours[0], theirs[0])
    assert len(ours[1]) == len(theirs[1])
    assert all(torch.equal(a, b) for a, b in zip(ours[1], theirs[1], strict=True))
    assert ours[2] == theirs[2]
    assert all(isinstance(group["lr"], float) for group in ours[2])


def replay_by_computing(compute):
    return compute


VARIANTS = {
    "plain": {},
    "not augmented": {"augment": False},
    "adamw, clipped": {"optimizer": "adamw", "weight_decay": 0.01, "clip_norm": 0.1},
    "sgd, averaged, deep": {"optimizer": "sgd", "ema": 0.9, "deep_supervision": True},
    "crops in bfloat16": {"crop": 32, "precision": "bfloat16", "loss": "unified-focal"},
}


@pytest.mark.parametrize("capture", [None, replay_by_computing], ids=["direct", "prepared"])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_the_bits_of_train_step(lines, tmp_path, options, capture):
    # Twelve images in batches of five: the last one of each epoch is smaller.
    config = replace(SMALL, **options)
    plain = train_with(train_step, session_of(lines, tmp_path / "a", config))
    session = session_of(lines, tmp_path / "b", config)
    graphed = GraphedStep(session, capture)
    ours = train_with(graphed, session)
    assert sorted(graphed.ready) == [2, 5]
    assert not graphed.failed
    assert_same(ours, plain)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_it_can_take_over_in_the_middle(lines, tmp_path, optimizer):
    # As after resuming: what the optimizer knows by then must outlast the tries of the capture.
    config = replace(SMALL, optimizer=optimizer)
    plain = session_of(lines, tmp_path / "a", config)
    train_with(train_step, plain)
    session = session_of(lines, tmp_path / "b", config)
    train_with(train_step, session)
    ours = train_with(GraphedStep(session, replay_by_computing), session)
    assert_same(ours, train_with(train_step, plain))


def refuse(compute):
    compute()
    raise RuntimeError("operation not permitted when stream is capturing\nand so on")


def forget(compute):
    return lambda: None


def twice(compute):
    def replay():
        compute()
        compute()

    return replay


@pytest.mark.parametrize(
    ("capture", "reason"),
    [
        (refuse, "operation not permitted when stream is capturing"),
        (forget, "replayed steps had the losses"),
        (twice, "replayed steps had the losses"),
    ],
)
def test_where_capture_fails_train_step_takes_over(lines, tmp_path, caplog, capture, reason):
    # The optimizer's state exists already, as zeros: for SGD's momentum the same as none.
    for optimizer in ("adam", "sgd"):
        caplog.clear()
        config = replace(SMALL, optimizer=optimizer, learning_rate=0.1)
        plain = train_with(train_step, session_of(lines, tmp_path / f"a{optimizer}", config))
        session = session_of(lines, tmp_path / f"b{optimizer}", config)
        graphed = GraphedStep(session, capture)
        assert_same(train_with(graphed, session), plain)
        assert graphed.failed
        assert len(caplog.messages) == 1
        assert "without a CUDA graph" in caplog.text
        assert reason in caplog.text
        assert "and so on" not in caplog.text


def test_gradients_of_a_capture_that_broke_off_are_dropped(lines, tmp_path):
    plain, session = (session_of(lines, tmp_path / name, SMALL) for name in "ab")

    def break_off(compute):
        for parameter in session.network.parameters():
            parameter.grad = torch.ones_like(parameter)
        raise RuntimeError("out of memory")

    assert_same(train_with(GraphedStep(session, break_off), session), train_with(train_step, plain))


def test_a_network_with_dropout_is_not_captured(lines, tmp_path, caplog):
    sessions = [session_of(lines, tmp_path / name, SMALL) for name in "abc"]
    for session in sessions:
        session.network.head = nn.Sequential(nn.Dropout(0.5), session.network.head)
    plain, captured, direct = sessions
    expected = train_with(train_step, plain)
    assert_same(train_with(GraphedStep(captured, replay_by_computing), captured), expected)
    assert "draws random numbers" in caplog.text
    # Computed directly, it has the same dropout.
    assert_same(train_with(GraphedStep(direct, None), direct), expected)


def test_a_graph_belongs_to_one_session(lines, tmp_path):
    one, other = (session_of(lines, tmp_path / name, SMALL) for name in "ab")
    with pytest.raises(ValueError, match="session that it was made for"):
        train_with(GraphedStep(one, None), other)


# --- what a GPU would see ----------------------------------------------------------------------


class HostTensors(TorchDispatchMode):
    """Notes the operations in which a tensor on the host takes part."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
        if any(tensor.device.type == "cpu" for tensor in tensors):
            self.seen.append(str(func))
        return result


@pytest.mark.parametrize("loss", LOSSES)
def test_on_a_gpu_nothing_is_copied_and_no_value_looked_at(loss):
    # Fake tensors have a device and a shape and no values; looking at one raises. (Backward and the
    # fused optimizers don't work on them: what they do on a GPU is torch's own.)
    with FakeTensorMode(), torch.device("cuda"):
        network = build_model("crackseg", width=2, deep_supervision=True)
        photos, masks = torch.empty(9, 3, 48, 48), torch.empty(9, 1, 48, 48)
        indices, draws = torch.empty(4, dtype=torch.int64), torch.empty(11, 4)
        noise = torch.empty(4, 3, 48, 48)
        with HostTensors() as host:
            image, mask = photos.to(torch.uint8)[indices], masks.to(torch.uint8)[indices]
            image, mask = apply(image, mask, Draw.unpack(draws), noise)
            logits = network(normalize(image, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1)))
            assert all(LOSSES[loss](each, mask).device.type == "cuda" for each in logits)
        assert host.seen == []
        with HostTensors() as host:
            torch.tensor([1.0], device="cpu").to("cuda")
        assert host.seen


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_captured_step_on_a_gpu(lines, tmp_path, options):
    config = replace(SMALL, accelerator="cuda", **options)
    with new_stream()():
        plain = train_with(train_step, session_of(lines, tmp_path / "a", config))
        session = session_of(lines, tmp_path / "b", config)
        graphed = GraphedStep(session, graph_capture())
        ours = train_with(graphed, session)
    assert sorted(graphed.ready) == [2, 5]
    assert not graphed.failed
    torch.testing.assert_close(ours[0], plain[0], rtol=5e-3, atol=1e-4)
    assert ours[2] == plain[2]


@needs_gpu
def test_a_captured_step_never_waits_for_the_gpu(lines, tmp_path):
    with new_stream()():
        session = session_of(lines, tmp_path / "a", replace(SMALL, accelerator="cuda", ema=0.9))
        graphed = GraphedStep(session, graph_capture())
        train_with(graphed, session, epochs=1)
        batch = epoch_batches(len(session.train), 5, seed=0, epoch=1)[0]
        torch.cuda.set_sync_debug_mode("error")
        try:
            graphed(session, batch, epoch=1, step=0, rate=1e-3)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@needs_gpu
def test_on_the_default_stream_it_falls_back(lines, tmp_path, caplog):
    session = session_of(lines, tmp_path / "a", replace(SMALL, accelerator="cuda"))
    graphed = GraphedStep(session, graph_capture())
    losses = train_with(graphed, session, epochs=1)[0]
    assert graphed.failed
    assert torch.isfinite(losses).all()
    assert "without a CUDA graph" in caplog.text
