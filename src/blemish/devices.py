"""Devices, threads and processes of a run."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from blemish.errors import OptionError
from blemish.names import Device, Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

MACHINE = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")  # variables that Fabric reads


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """Device to work on.

    Raises:
        OptionError: CUDA is requested but not available.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError(
            got="--device cuda, on a machine where PyTorch finds no CUDA device",
            expected="auto, cpu, or a machine with a CUDA device",
            todo="Use --device cpu, or run 'blemish doctor' to see what PyTorch finds.",
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


@cache
def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16, as Linux reports; False where nothing does."""
    facts = Path("/proc/cpuinfo")
    flags = set(facts.read_text().split()) if facts.exists() else set()
    return bool({"avx512_bf16", "amx_bf16"} & flags)


def usual_precision() -> Precision | None:
    """Number format of a training: bfloat16 where the processor computes in it."""
    return "bf16-mixed" if has_bfloat16() else None


def use_threads(count: int) -> None:
    """Use the given number of CPU threads from now on, in PyTorch and in OpenCV."""
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread of the CPU within this context, or within a function it decorates.

    Single items and the reading of weights are too small to share: threads would wait for each
    other, spinning where another program takes a core. And the last bit of a convolution depends
    on their number.
    """
    import cv2
    import torch

    threads, readers = torch.get_num_threads(), cv2.getNumThreads()
    use_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(readers)


def make_fabric(
    device: Device, *, processes: int = 1, nodes: int = 1, precision: Precision | None = None
) -> "Fabric":
    """Device, processes and precision of a training; bfloat16 by default on an accelerator.

    Args:
        device: Device to train on.
        processes: Number of processes on each machine.
        nodes: Number of machines; each runs the same command.
        precision: Number format inside the networks.

    Raises:
        OptionError: CUDA is requested but not available, or has fewer devices than processes; or
            the environment does not say which of several machines this one is.
    """
    import torch
    from lightning_fabric import Fabric  # slow to import: only trainings need it

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats the options
    cuda = choose_device(device) == "cuda"
    _refuse_processes(processes, at_most=torch.cuda.device_count() if cuda else None)
    _refuse_nodes(nodes, os.environ)
    return Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=processes,
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision=precision or ("bf16-mixed" if cuda else "32-true"),
    )


def _refuse_processes(processes: int, *, at_most: int | None) -> None:
    if processes < 1 or (at_most is not None and processes > at_most):
        raise OptionError(
            got=f"{processes} processes",
            expected="1 or more" if at_most is None else f"1 to {at_most}, one for each device",
            todo="Correct --processes.",
        )


def _refuse_nodes(nodes: int, environment: Mapping[str, str]) -> None:
    """Refuse several machines that would wait for each other forever."""
    if nodes < 1:
        raise OptionError(got=f"{nodes} nodes", expected="1 or more", todo="Correct --nodes.")
    launched = {"SLURM_NTASKS", "TORCHELASTIC_RUN_ID"} & {*environment}
    lacking = [name for name in MACHINE if name not in environment]
    if nodes > 1 and lacking and not launched:
        raise OptionError(
            got=f"--nodes {nodes} without {' and '.join(lacking)} in the environment",
            expected="a start by srun or torchrun, or these variables on each machine",
            todo="NODE_RANK counts the machines from 0; MASTER_ADDR and MASTER_PORT are the first "
            "one's address and a free port of it.",
        )
