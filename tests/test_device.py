import pytest
import torch

from fissura.device import choose_device, choose_precision
from fissura.errors import InputError

CPU = torch.device("cpu")


def test_auto_takes_a_device_that_works():
    torch.zeros(1, device=choose_device("auto"))


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps:5", "xpu:9", "vulkan", "hip"])
def test_a_device_that_is_not_there_gets_a_short_sentence(name):
    with pytest.raises(InputError, match=r"(no device|cannot be used) .*Choose cpu") as caught:
        choose_device(name)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_precision_is_what_was_asked_for():
    assert choose_precision("float32", CPU) == torch.float32
    assert choose_precision("bfloat16", CPU) == torch.bfloat16


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_precision_follows_the_hardware(monkeypatch, fast, dtype):
    monkeypatch.setattr("fissura.device.cpu_has_bfloat16", lambda: fast)
    assert choose_precision("auto", CPU) == dtype
