import pytest
import torch
from torch import nn

from fissura.training.optimize import (
    learning_rate,
    make_average,
    make_optimizer,
    update_average,
)
from fissura.training.options import TrainOptions


def test_schedule_without_warmup_is_torchs_cosine():
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert learning_rate(step, steps=50, warmup=0, peak=0.1) == pytest.approx(
            optimizer.param_groups[0]["lr"], abs=1e-12
        )
        optimizer.step()
        schedule.step()


def test_warmup_rises_to_the_peak_and_falls_to_zero():
    rates = [learning_rate(step, steps=100, warmup=10, peak=1.0) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_fused_optimizers_step_like_the_plain_ones(name):
    plain = {
        "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.01),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01, momentum=0.9, nesterov=True),
    }
    torch.manual_seed(0)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    config = TrainOptions(optimizer=name, learning_rate=0.1, weight_decay=0.01)
    optimizers = [make_optimizer(ours, config), plain[name](theirs.parameters())]
    for _ in range(5):
        x = torch.randn(4, 3)
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_the_average_forgets_at_the_given_rate():
    model = nn.Linear(1, 1, bias=False)
    average = make_average(model, 0.75)
    values = []
    for weight in (1.0, 3.0, 3.0):
        nn.init.constant_(model.weight, weight)
        update_average(average, model)
        values.append(average.module.weight.item())
    # The first update is the start value; then 0.75·1 + 0.25·3, then 0.75·1.5 + 0.25·3.
    assert values == pytest.approx([1.0, 1.5, 1.875])


def test_the_average_has_the_bits_of_its_own_update():
    torch.manual_seed(0)
    # BatchNorm counts its batches in an integer, which is averaged too.
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    ours, theirs = make_average(model, 0.9), make_average(model, 0.9)
    for _ in range(4):
        model(torch.randn(2, 3, 8, 8))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        update_average(ours, model)
        theirs.update_parameters(model)
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    assert int(ours.n_averaged) == 4
