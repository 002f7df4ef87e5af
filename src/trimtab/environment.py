"""What a study ran on: interpreter, machine and packages, for the record and the report."""

import hashlib
import json
import os
import platform
import sys
from importlib import metadata
from typing import Any

_PACKAGES = ("trimtab", "numpy", "scipy", "SQLAlchemy", "scikit-learn", "lightgbm", "xgboost", "torch", "pandas")


def environment() -> dict[str, Any]:
    """Python, operating system, processors, the packages that shape results, and the fingerprint of `numerics`."""
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
        "numerics": numerics(),
    }


def numerics() -> str:
    """Fingerprint of what decides the last digits of a proposal: numpy, scipy, BLAS, and the processor's vector units.

    Where two machines have the same one, a record gives its proposals again exactly.
    """
    import numpy as np
    import scipy.linalg  # noqa: F401  (its BLAS must be loaded to be found)
    from threadpoolctl import threadpool_info

    pools = [{k: v for k, v in p.items() if k in _OF_A_POOL} for p in threadpool_info() if p["user_api"] == "blas"]
    vectors = np.show_config(mode="dicts").get("SIMD Extensions", {})
    versions = [metadata.version("numpy"), metadata.version("scipy"), platform.machine()]
    said = json.dumps([versions, sorted(pools, key=str), vectors], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


_OF_A_POOL = ("internal_api", "version", "architecture")
