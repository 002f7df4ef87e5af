"""What a study ran on: interpreter, machine and packages, for the record and the report."""

import hashlib
import json
import os
import platform
import sys
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = ("trimtab", "numpy", "scipy", "SQLAlchemy", "scikit-learn", "lightgbm", "xgboost", "torch", "pandas")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "PYTHONHASHSEED")


def environment() -> dict[str, Any]:
    """Python, operating system, hardware, BLAS, threads, the packages that affect results, and all others.

    installed: every package as "name==version". numerics: see `numerics`.
    """
    return {**_fixed(), "threads": {k: os.environ[k] for k in _THREADS if k in os.environ}}


@cache
def _fixed() -> dict[str, Any]:
    """What does not change during this process."""
    installed = sorted(_installed())
    return {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory": psutil.virtual_memory().total,  # bytes of the machine
        "gpus": _gpus(),
        "blas": sorted(f"{p['internal_api']} {p.get('version')} ({p.get('architecture', '?')})" for p in _pools()),
        "packages": {name: v for name in _PACKAGES if (v := _version(name)) is not None},
        "installed": installed,
        "numerics": numerics(),
    }


def numerics() -> str:
    """Fingerprint of what decides the last digits of a proposal: numpy, scipy, BLAS, and the processor's vector units.

    Machines with the same fingerprint replay a record exactly.
    """
    import numpy as np

    pools = [{k: v for k, v in p.items() if k in _OF_A_POOL} for p in _pools()]
    vectors = np.show_config(mode="dicts").get("SIMD Extensions", {})
    versions = [metadata.version("numpy"), metadata.version("scipy"), platform.machine()]
    said = json.dumps([versions, sorted(pools, key=str), vectors], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


_OF_A_POOL = ("internal_api", "version", "architecture")


def _pools() -> list[dict[str, Any]]:
    """The BLAS libraries of numpy and scipy, which must be loaded to be found."""
    from threadpoolctl import threadpool_info

    for library in ("numpy", "scipy.linalg"):
        import_module(library)
    ours = [p for p in threadpool_info() if p["user_api"] == "blas"]
    return [p for p in ours if any(part in str(p.get("filepath")) for part in ("numpy", "scipy"))] or ours


def _version(name: str) -> str | None:
    if name == "trimtab":  # the one that runs: the metadata of a working copy are as old as its installation
        return str(import_module(name).__version__)
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _installed() -> set[str]:
    """All packages, by the names of their metadata folders, since reading each of them would be slow."""
    found = set()
    for place in sys.path:
        for info in Path(place).glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
            found.add(f"{name}=={version}")
    return found


def _processor() -> str:
    """The model's name, as Linux reports it; elsewhere the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _gpus() -> list[str]:
    """Models and driver of NVIDIA cards, as their kernel driver reports them; empty if there are none."""
    root = Path("/proc/driver/nvidia")
    try:
        texts = [p.read_text(errors="replace") for p in sorted(root.glob("gpus/*/information"))]
        models = [line.partition(":")[2].strip() for t in texts for line in t.splitlines() if line.startswith("Model")]
        return models and [*models, root.joinpath("version").read_text(errors="replace").splitlines()[0]]
    except OSError:
        return []
