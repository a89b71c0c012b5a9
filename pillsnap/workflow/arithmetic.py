"""Arithmetic that every x86-64 processor with AVX2 has, for a job's process. Imports nothing but the standard library:
numpy and torch read these variables as they load."""

import logging
import os
import re
import sys
from pathlib import Path

PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",  # with AVX2 it computes otherwise on processors that are not Intel's
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",  # it takes no more than there are cores, and sums otherwise with each number
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENCV_IPP": "avx2",
}
"""Variables of the environment that keep libraries to it."""
CPUINFO = Path("/proc/cpuinfo")


class LoadedError(RuntimeError):
    """Libraries have been loaded with other arithmetic."""


def keep_portable() -> None:
    """Keep libraries that this process and its children load to `PORTABLE`.

    On a processor without AVX2 it changes nothing, and warns.

    Raises:
        LoadedError: numpy or torch is loaded already, without these variables.
    """
    if is_portable():
        return
    if not has_avx2():
        logging.getLogger("pillsnap").warning("portable: this processor has no AVX2, its bytes are its own")
        return
    if loaded := {"numpy", "torch"} & sys.modules.keys():
        raise LoadedError(f"portable: {', '.join(sorted(loaded))} was loaded before the job began. Start it by itself.")
    os.environ |= PORTABLE


def is_portable() -> bool:
    """Whether this process's environment has all of `PORTABLE`."""
    return PORTABLE.items() <= os.environ.items()


def has_avx2() -> bool:
    """Whether the processor has AVX2; where the system has no `/proc/cpuinfo`, it is taken not to."""
    return CPUINFO.is_file() and bool(re.search(r"^flags\s*:.*\bavx2\b", CPUINFO.read_text(), re.MULTILINE))
