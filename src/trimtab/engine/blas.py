"""BLAS in one thread, so that results do not depend on the number of cores, and parallel workers do not compete."""

from contextlib import AbstractContextManager
from functools import cache
from importlib import import_module
from typing import Any

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[Any]:
    """A context in which numpy and scipy compute in one thread."""
    limited: AbstractContextManager[Any] = _pools().limit(limits=1)
    return limited


@cache
def _pools() -> ThreadpoolController:
    """The thread pools of numpy's and scipy's BLAS, which must be loaded to be found."""
    for library in ("numpy", "scipy.linalg"):
        import_module(library)
    return ThreadpoolController()
