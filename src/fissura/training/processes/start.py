"""The start of a training's processes: device, precision, compiler, and the others to join."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import torch

from fissura.device import choose_device, choose_precision
from fissura.errors import InputError, extra
from fissura.training.options import TrainOptions, check_batch_size

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def start_fabric(config: TrainOptions) -> Fabric:
    """Choose device and precision, and start or join the other processes where there are any.

    Args:
        config: Accelerator, devices, nodes, precision and compilation are taken from here; of
            processes that torchrun has started, their number from it.

    Raises:
        InputError: The device, the precision or the compiler is not there, a package is missing, or
            the processes do not fit the batch or what SLURM has started.
    """
    with extra("train", "Training"):
        from lightning_fabric import Fabric

    device = choose_device(config.accelerator)
    if config.compile:
        check_compiler(device)
    dtype = choose_precision(config.precision, device)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # we say it ourselves
    devices, nodes = processes_of(config)
    check_batch_size(config, devices * nodes)
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision="bf16-mixed" if dtype == torch.bfloat16 else "32-true",
    )
    # Else torch shows pages of its own where a process of the training has ended.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        fabric.launch()
    except ValueError as error:  # SLURM's numbers are others
        reason = " ".join(str(error).split())
        raise InputError(f"The processes cannot be started: {reason}") from error
    return fabric


def processes_of(config: TrainOptions) -> tuple[int, int]:
    """Return the processes on this machine and the number of machines.

    Args:
        config: Options of the training, which torchrun's own numbers take precedence over.
    """
    if not by_torchrun():
        return config.devices, config.nodes
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def is_further(config: TrainOptions) -> bool:
    """Whether this process is known to be a further one of a training, not the first.

    Args:
        config: Options of the training.
    """
    devices, nodes = processes_of(config)
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return devices * nodes > 1 and any(os.environ.get(name, "0") != "0" for name in ranks)


def by_torchrun() -> bool:
    """Whether torchrun has started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def check_compiler(device: torch.device) -> None:
    """Compile a tiny function, to learn before a training whether torch.compile works.

    Args:
        device: Device of the training.

    Raises:
        InputError: It does not work; the sentence holds the reason.
    """
    try:
        torch.compile(lambda x: x.cos() + 1)(torch.zeros(32, device=device))
    except Exception as error:  # of a compiler, a driver, a library: any kind
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(
            f"--compile does not work here: {reason}. On a CPU it needs a C++ compiler (package "
            "g++ or build-essential of most systems, or one named in the variable CXX), on a GPU "
            "Triton and a C compiler. Install it, or leave out --compile."
        ) from error
