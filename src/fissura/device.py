"""Which processor to compute on, and in which precision."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import torch

from fissura.errors import InputError

Precision = Literal["auto", "float32", "bfloat16"]


def choose_device(name: str = "auto") -> torch.device:
    """Return the device called `name`.

    Args:
        name: "auto" for a GPU where there is one, else the CPU; or "cpu", "cuda", "cuda:1", "mps".

    Raises:
        InputError: torch does not know the name, or this machine lacks the device.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(
            f"There is no device {name!r}. Choose cpu, cuda or mps, or auto for what the machine "
            "has."
        ) from error
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        # Where torch was built without a device, it lists all its backends on a thousand lines.
        reason = (
            "" if isinstance(error, NotImplementedError) else str(error).splitlines()[0].strip()
        )
        raise InputError(
            f"The device {name!r} cannot be used on this machine. {reason}{' ' * bool(reason)}"
            "Choose cpu, or auto for what the machine has."
        ) from error
    return device


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype that networks compute in: bfloat16 where "auto" finds it is fast.

    That is on CUDA cards from Ampere on and on CPUs with bfloat16 instructions (AVX512-BF16 or
    AMX), where it is 1.6 (AVX512-BF16) to 3 times (AMX) as fast as float32. Weights, losses and
    optimizer states are float32 in either case.

    Args:
        precision: "auto", "float32" or "bfloat16".
        device: Where the network computes.

    >>> choose_precision("bfloat16", torch.device("cpu"))
    torch.bfloat16
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = device.type == "cpu" and cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 numbers in hardware."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def describe_machine(device: torch.device) -> str:
    """Return the words that a measured time needs beside it: system, processor and device.

    Args:
        device: Where it was computed.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs{_processor()}, "
        f"computed on {name}"
    )


def _processor() -> str:
    """The processor's name in brackets, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f" ({names[0]})" if names else ""
