import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from fissura.errors import InputError
from fissura.evaluation.evaluate import evaluate
from fissura.evaluation.options import EvaluateOptions
from fissura.training.build import begin
from fissura.training.inputs import read_inputs
from fissura.training.options import TrainOptions
from fissura.training.processes.start import start_fabric
from fissura.training.session import Planned
from fissura.training.step import optimize, train_step, validate
from fissura.training.train import train

SMALL = TrainOptions(
    width=2, epochs=3, batch_size=4, precision="float32", accelerator="cpu", validation=0.0
)


def session_of(data, run, config):
    inputs = read_inputs(data, config)
    return begin(Planned(run, data, config), start_fabric(config), inputs, None)[0]


def test_a_step_is_torchs_own_steps_one_after_the_other(lines, tmp_path):
    config = replace(SMALL, augment=False, clip_norm=0.01, optimizer="sgd")
    session = session_of(lines, tmp_path / "a", config)
    slow = session_of(lines, tmp_path / "b", config)
    batch = torch.arange(4)
    loss = train_step(session, batch.numpy(), epoch=0, step=0, rate=0.1)
    image, mask = slow.train.batch(batch.numpy())
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (slow.card.mean, slow.card.std))
    expected = slow.loss(slow.network((image / 255 - mean) / std), mask)
    grads = torch.autograd.grad(expected, list(slow.network.parameters()))
    norm = torch.sqrt(sum(grad.square().sum() for grad in grads))
    assert norm > 0.01
    torch.testing.assert_close(loss, expected.detach())
    for ours, theirs, grad in zip(
        session.network.parameters(), slow.network.parameters(), grads, strict=True
    ):
        # The first step of Nesterov's momentum: the gradient, and 0.9 of it.
        torch.testing.assert_close(ours, theirs - 0.1 * 1.9 * grad * 0.01 / norm)


def test_the_loss_is_of_the_weights_before_the_step(lines, tmp_path):
    session = session_of(lines, tmp_path / "a", SMALL)
    image, mask = session.train.batch(torch.arange(4).numpy())
    first = float(optimize(session, image, mask))
    assert float(optimize(session, image, mask)) != first
    assert all(parameter.grad is None for parameter in session.network.parameters())


def test_nan_gradients_are_reported_with_advice_also_where_they_are_clipped(lines, tmp_path):
    config = replace(SMALL, learning_rate=1e30, optimizer="sgd", clip_norm=1.0)
    with pytest.raises(InputError, match="became NaN or infinite"):
        train(lines, out=tmp_path / "run", options=config, quiet=True)


@pytest.mark.parametrize(
    ("options", "better"),
    [
        ({"crop": 16, "batch_size": 11}, 12),  # leaves one; 16 pixels are one value at stride 16
        ({"crop": 16, "batch_size": 1}, 2),
        (
            {"model": "smp:DeepLabV3Plus", "encoder": "resnet18", "width": None, "batch_size": 11},
            12,
        ),
    ],
)
def test_a_last_batch_of_one_is_refused_before_training(lines, tmp_path, options, better):
    options = replace(SMALL, **options)
    with pytest.raises(InputError, match=rf"last batch of one image .* --batch-size {better}, or"):
        session_of(lines, tmp_path / "run", options)
    assert not (tmp_path / "run").exists()
    session_of(lines, tmp_path / "run", replace(options, batch_size=better))


def test_a_batch_of_one_image_that_is_large_enough_is_taken(lines, tmp_path):
    session_of(lines, tmp_path / "run", replace(SMALL, batch_size=11))


def unlabeled(lines, folder):
    """The same images, with the right third of every mask without a label."""
    shutil.copytree(lines, folder)
    for file in folder.glob("*/masks/*.png"):
        mask = (cv2.imread(str(file), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8)
        mask[:, 32:] = 255
        cv2.imwrite(str(file), mask)
    return folder


def test_pixels_without_a_label_have_no_part_in_the_loss(lines, tmp_path):
    config = replace(SMALL, ignore=255)
    session = session_of(unlabeled(lines, tmp_path / "data"), tmp_path / "a", config)
    seen = []

    def loss(logits, target, *, mask):
        seen.append((target, mask))
        return session.loss(logits, target, mask=mask)

    train_step(replace(session, loss=loss), np.arange(4), epoch=0, step=0, rate=0.1)
    ((target, mask),) = seen
    assert mask.float().mean() == pytest.approx(2 / 3)  # turned and flipped with the images
    assert set(target.unique().tolist()) == {0, 1}
    assert not target[~mask].any()
    histogram = validate(session, session.train)
    assert histogram.sum() == 12 * 48 * 32


def test_training_with_unlabeled_pixels_goes_through(lines, tmp_path):
    data = unlabeled(lines, tmp_path / "data")
    options = replace(SMALL, crop=16, epochs=1, ignore=255)
    outcome = train(data, out=tmp_path / "run", options=options, quiet=True)
    record = json.loads((outcome.run / "data.json").read_text())
    assert record["ignored"] == pytest.approx(1 / 3)
    report = evaluate(outcome.run, data, options=EvaluateOptions(bootstrap=2))
    assert report.summary["data"]["ignored_fraction"] == pytest.approx(1 / 3)
    counts = report.summary["at_half"]["counts"]
    assert sum(counts.values()) == 4 * 48 * 32
