"""Imported before numpy: its BLAS then computes in one thread, so that CPU times and sums come out alike each time."""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
