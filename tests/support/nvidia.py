"""Driver libraries of machines that are not here, libcuda and libnvidia-ml, compiled from a few lines of C.

They are loaded as the real ones are, so that what is tested is our calls and not a mock of them.
"""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pynvml
import pytest

from pillsnap import cuda
from tests.support.debian import need
from tests.support.workflow import PROJECT

CUDA = """
#include <string.h>
static int init(void) { return INIT; }
int cuDriverGetVersion(int *v) { *v = VERSION; return 0; }
int cuInit(unsigned flags) { return init(); }
int cuDeviceGetCount(int *n) { *n = COUNT; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strncpy(s, NAME, n); return 0; }
int UUID(char *u, int d) { memset(u, 0x11 * (d + 1), 16); return 0; }
int cuDeviceTotalMem_v2(size_t *m, int d) { *m = (size_t)GIB << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { 
    *v = a == 75 ? CAPABILITY / 10 : a == 76 ? CAPABILITY % 10 : -1; return 0; }
int cuTensorMapEncodeTiled(void) { return 1; } /* ONNX Runtime's library does not load without it */
int cuGetErrorName(int e, const char **s) { *s = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "driver and library do not fit"; return 0; }
"""
NVML = """
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned pid; unsigned long long bytes; unsigned gi, ci; } process;
int nvmlInit_v2(void) { return 0; } int nvmlInitWithFlags(unsigned f) { return 0; } int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int r) { return r == 3 ? "Not Supported" : "Unknown Error"; }
"""
QUERIES = {
    "count": "int nvmlDeviceGetCount_v2(unsigned *n) { *n = 1; return 0; }",
    "handle": "int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d) { *d = (void *)1; return 0; }",
    "name": 'int nvmlDeviceGetName(void *d, char *s, unsigned n) { strncpy(s, "Test card", n); return 0; }',
    "uuid": """int nvmlDeviceGetUUID(void *d, char *s, unsigned n) {
        strncpy(s, "GPU-11111111-1111-1111-1111-111111111111", n); return 0; }""",
    "memory": """int nvmlDeviceGetMemoryInfo(void *d, memory *m) {
        m->total = 16ull << 30; m->free = 12ull << 30; m->used = 4ull << 30; return 0; }""",
    "compute": """int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *n, process *p) {
        if (*n < 1) { *n = 1; return 7; } p->pid = 4194305; p->bytes = 4ull << 30; *n = 1; return 0; }""",
    "graphics": "int nvmlDeviceGetGraphicsRunningProcesses_v3(void *d, unsigned *n, process *p) { *n = 0; return 0; }",
}
"""Functions of NVML by what they answer. One that is left out is missing, as in an old driver."""
MIG = """
int nvmlDeviceGetMigMode(void *d, unsigned *now, unsigned *later) { *now = *later = 1; return 0; }
int nvmlDeviceGetMaxMigDeviceCount(void *d, unsigned *n) { *n = 7; return 0; }
int nvmlDeviceGetMigDeviceHandleByIndex(void *d, unsigned i, void **m) {
    if (i > 1) return 6; *m = (void *)(long)(i + 2); return 0; }
int nvmlDeviceGetUUID(void *d, char *s, unsigned n) {
    strncpy(s, "MIG-22222222-2222-2222-2222-222222222222", n); s[4] = '0' + (long)d; return 0; }
"""
"""A GPU that is divided into two instances."""


def compiled(source: str, folder: Path, *defined: str) -> Path:
    """A shared library of this C source."""
    compiler = need("a C compiler", lambda: shutil.which("cc"), "gcc", "libc6-dev")
    library = folder / f"fake{len(list(folder.glob('fake*.so')))}.so"
    words = [compiler, "-shared", "-fPIC", "-w", *(f"-D{word}" for word in defined), "-o", str(library), "-x", "c", "-"]
    subprocess.run(words, input=source, text=True, check=True)
    return library


def install_cuda(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *,
    version: int = 13000,
    init: int = 0,
    count: int = 1,
    name: str = "Test card",
    capability: int = 80,
    gib: int = 16,
    uuid: str = "cuDeviceGetUuid_v2",
) -> None:
    """Put a CUDA driver in place of this machine's: its version (13000: 13.0), status of `cuInit`, and devices."""
    facts = {"VERSION": version, "INIT": init, "COUNT": count, "NAME": f'"{name}"', "CAPABILITY": capability}
    defined = [f"{key}={value}" for key, value in (facts | {"GIB": gib, "UUID": uuid}).items()]
    monkeypatch.setattr(cuda, "LIBRARY", str(compiled(CUDA, folder, *defined)))


def old_driver(folder: Path) -> dict[str, str]:
    """Environment of a program that finds a driver of CUDA 12.4 with one GPU of compute capability 8.0."""
    facts = ("VERSION=12040", "INIT=0", "COUNT=1", 'NAME="Test card"', "CAPABILITY=80", "GIB=16")
    compiled(CUDA, folder, *facts, "UUID=cuDeviceGetUuid_v2").rename(folder / "libcuda.so.1")
    return os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(PROJECT)}


def install_nvml(monkeypatch: pytest.MonkeyPatch, folder: Path, *, fails: str | None = None, status: int = 3) -> None:
    """Put an NVML in place of this machine's, with one GPU; one of `QUERIES` fails (3: not supported, 0: missing)."""
    functions = dict(QUERIES)
    if fails:
        named = functions.pop(fails).split("(")[0]
        functions |= {fails: f"{named}(void *a, void *b, void *c) {{ return {status}; }}"} if status else {}
    load_nvml(monkeypatch, NVML + "\n".join(functions.values()), folder)


def load_nvml(monkeypatch: pytest.MonkeyPatch, source: str, folder: Path) -> None:
    """Have pynvml load this library."""
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(compiled(source, folder))))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
