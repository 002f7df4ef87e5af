"""Which NVIDIA GPUs each slot gets. CUDA_VISIBLE_DEVICES hides the others from its process."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import SpecError

VARIABLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")  # one folder per GPU; no library is needed to count them


def visible() -> list[str]:
    """The GPUs that this process may use, by index or UUID: those its environment names, else all of the machine's."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(i) for i in range(len(list(_DRIVER.glob("*"))))]


def shares(slots: int, each: float, devices: Sequence[str]) -> list[str]:
    """For each slot, the value of CUDA_VISIBLE_DEVICES: `each` whole devices, or for a fraction a shared one.

    Empty if trials need no GPU, or this machine shows none: then GPUs only count as a cost. Raises SpecError if there are
    too few.
    """
    if each == 0 or not devices:
        return []
    whole, sharing = max(1, int(each)), 1 if each >= 1 else int(1 / each + 1e-9)
    room = len(devices) // whole * sharing
    if slots > room:
        raise SpecError(
            f"workers={slots} with gpus={each:g} each need more than the {len(devices)} GPUs here ({', '.join(devices)}): "
            f"at most {room} workers, or a smaller part of a GPU each"
        )
    groups = [",".join(devices[i : i + whole]) for i in range(0, len(devices) - whole + 1, whole)]
    return [groups[i % len(groups)] for i in range(slots)]  # in turn: no device is shared while another is free
