"""What a study ran on: interpreter, machine and packages, for the record and the report."""

import os
import platform
import sys
from importlib import metadata
from typing import Any

_PACKAGES = ("trimtab", "numpy", "scipy", "SQLAlchemy", "scikit-learn", "lightgbm", "xgboost", "torch", "pandas")


def environment() -> dict[str, Any]:
    """Python, operating system, processor count and the versions of the packages that shape results."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "packages": versions,
    }
