"""Say what is installed, which backends can run here and, for those that can't, why and what to install.

The exit code is 0 if nothing is wrong with what is needed, and 1 if the numpy backend can't run or the backend
that is asked for by MINISEGNET_BACKEND can't. Warnings don't count.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

EXAMPLES = """\
examples:
  minisegnet doctor
  minisegnet doctor --json                      one JSON object, for scripts and bug reports
  MINISEGNET_BACKEND=numpy minisegnet doctor    what would be in use then
"""

PACKAGES = {  # what it is called here -> the names under which it can be installed
    "numpy": ("numpy",),
    "numba": ("numba",),
    "llvmlite": ("llvmlite",),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x", "cupy"),
    "pillow": ("pillow",),
    "matplotlib": ("matplotlib",),
    "safetensors": ("safetensors",),
}
VARIABLES = ("OMP_", "GOMP_", "OPENBLAS_", "MKL_", "BLIS_", "VECLIB_", "NUMBA_", "MINISEGNET_")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the text")


def run(arguments: argparse.Namespace) -> int:
    """Examine the installation, print the report and return the exit code."""
    report = examine()
    print(json.dumps(report) if arguments.json else as_text(report))
    return 1 if report["problems"] else 0


def examine() -> dict[str, Any]:
    """Collect everything that the report says."""
    backends = _backends()
    in_use = _backend_in_use()
    report = {
        "versions": _versions(),
        "cpu": _cpu(),
        "threads": _threads(backends),
        "blas": _blas(),
        "numba_cache": numba_cache() if backends["numba"]["runs"] else None,
        "gpu": _gpu(backends),
        "cuda_on_cpu": _cuda_on_cpu(backends),
        "environment": {n: v for n, v in sorted(os.environ.items()) if n.startswith(VARIABLES)},
        "backends": backends,
        "backend_in_use": in_use,
    }
    return report | {"problems": _problems(backends, in_use), "warnings": _warnings(report)}


# ---------------------------------------------------------------------------------------------------------
# What is there


def _versions() -> dict[str, str | None]:
    from minisegnet import __version__

    found: dict[str, str | None] = {
        "minisegnet": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
    }
    for name, distributions in PACKAGES.items():
        versions = [v for d in distributions if (v := _version(d))]
        found[name] = versions[0] if versions else None
    return found


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> dict[str, Any]:
    return {
        "model": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "vector_instructions": _numpy_config("SIMD Extensions").get("found", []),
    }


def cpu_model() -> str:
    """Name the processor, as exactly as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    if sys.platform == "darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _numpy_config(section: str) -> dict[str, Any]:
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    found: dict[str, Any] = config.get(section, {})
    return found


def _blas() -> dict[str, Any]:
    built_with = _numpy_config("Build Dependencies").get("blas", {})
    keys = ("name", "version", "openblas configuration")
    return {key: " ".join(str(built_with[key]).split()) for key in keys if built_with.get(key)}


def _threads(backends: dict[str, Any]) -> dict[str, Any]:
    """Ask Numba; its layer is known only after a parallel start, which trying the backend has made."""
    if not backends["numba"]["runs"]:
        return {"numba": None, "layer": None}
    numba: Any = importlib.import_module("numba")
    try:
        layer = numba.threading_layer()
    except ValueError:
        layer = None  # nothing has run in parallel, for example under NUMBA_DISABLE_JIT
    return {"numba": numba.get_num_threads(), "layer": layer}


def numba_cache() -> dict[str, Any] | None:
    """Find the folder where Numba keeps compiled kernels, and whether new ones can be written there.

    None where compilation is off. Numba must be able to run.
    """
    kernels = importlib.import_module("minisegnet.backends.numba.pool")
    compiled = [value.compiled for value in vars(kernels).values() if hasattr(value, "compiled")]
    folders = {str(kernel.stats.cache_path) for kernel in compiled if hasattr(kernel, "stats")}
    if not folders:
        return None  # NUMBA_DISABLE_JIT: nothing is compiled, nothing is kept
    folder = min(folders)
    return {"folder": folder, "writable": _writable(folder)}


def _gpu(backends: dict[str, Any]) -> str | None:
    """Name the GPU that CuPy uses."""
    if not backends["cupy"]["runs"]:
        return None
    cupy: Any = importlib.import_module("cupy")
    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def _cuda_on_cpu(backends: dict[str, Any]) -> dict[str, Any] | None:
    """Find the compiler of the CUDA sources that run on the CPU, and the folder of what it made."""
    if not backends["cuda-on-cpu"]["runs"]:
        return None
    build: Any = importlib.import_module("minisegnet.backends.cuda_on_cpu.build")
    return {"compiler": build.compiler(), "folder": str(build.cache_folder())}


def _writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------------------
# Backends


def _backends() -> dict[str, Any]:
    from minisegnet import ops

    found: dict[str, Any] = {}
    for name in ops.BACKENDS:
        reason = ops.why_not(name) or _fails(name)
        found[name] = {"runs": reason is None, "why_not": reason}
    return found


def _fails(name: str) -> str | None:
    """Run one small pooling on the backend, and say what is wrong if it fails."""
    import numpy as np

    from minisegnet import ops

    try:
        with ops.use_backend(name):
            y, _ = ops.max_pool2d(ops.to_backend(np.arange(16.0).reshape(1, 1, 4, 4)), 2)
        right = ops.to_numpy(y).tolist() == [[[[5.0, 7.0], [13.0, 15.0]]]]
    except Exception as error:  # whatever it is, the doctor's task is to report it
        return f"it is installed, but a small test fails ({type(error).__name__}: {error}); reinstall it"
    return None if right else "it is installed, but a small test gives wrong numbers; please report this"


def _backend_in_use() -> dict[str, Any]:
    from minisegnet import ops

    asked = os.environ.get("MINISEGNET_BACKEND", "").strip()
    try:
        name = ops.current_backend()
    except ValueError as error:
        return {"name": None, "because": f"MINISEGNET_BACKEND is {asked!r}", "error": str(error)}
    default = "numpy" if ops.why_not("numba") else "numba"
    if name != (asked or default):
        because = "chosen by use_backend"
    elif asked:
        because = f"MINISEGNET_BACKEND is {asked!r}"
    elif name == "numba":
        because = "the default where Numba is installed"
    else:
        because = "the default where Numba can't run"
    return {"name": name, "because": because, "error": None}


def _problems(backends: dict[str, Any], in_use: dict[str, Any]) -> list[str]:
    problems = []
    if not backends["numpy"]["runs"]:
        problems.append(f"the numpy backend can't run: {backends['numpy']['why_not']}")
    if in_use["error"]:
        problems.append(
            f"{in_use['because']}, but {in_use['error']}. Unset the variable, or set it to one of those that run: "
            + ", ".join(name for name, found in backends.items() if found["runs"])
        )
    elif in_use["name"] in backends and not backends[in_use["name"]]["runs"]:
        problems.append(
            f"the backend in use, {in_use['name']}, can't run: {backends[in_use['name']]['why_not']}"
        )
    return problems


def _warnings(report: dict[str, Any]) -> list[str]:
    warnings = []
    coretype = report["environment"].get("OPENBLAS_CORETYPE")
    if coretype:
        warnings.append(
            f"OPENBLAS_CORETYPE is {coretype!r}: OpenBLAS uses that processor's code instead of choosing for "
            "yours, which can halve the speed of matrix products; unset it unless you know that you need it"
        )
    cache = report["numba_cache"]
    if cache and not cache["writable"]:
        warnings.append(
            f"Numba can't write to {cache['folder']}: kernels are compiled anew at every start; "
            "set NUMBA_CACHE_DIR to a folder of yours"
        )
    if report["environment"].get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        warnings.append(
            "NUMBA_DISABLE_JIT is set: the numba backend runs as plain Python, which is very slow"
        )
    threads, cores = report["threads"]["numba"], report["cpu"]["usable_cores"]
    if threads and cores and threads > cores:
        warnings.append(
            f"Numba runs {threads} threads on {cores} usable cores; set NUMBA_NUM_THREADS={cores}"
        )
    return warnings


# ---------------------------------------------------------------------------------------------------------
# The report as text


def as_text(report: dict[str, Any]) -> str:
    """Lay the report out for reading."""
    sections = {
        "Versions": {name: version or "not installed" for name, version in report["versions"].items()},
        "Machine": _machine_lines(report),
        "Environment": report["environment"]
        or {"(none)": "no variable that changes threads or backends is set"},
        "Backends": {
            name: "runs" if found["runs"] else f"can't run: {found['why_not']}"
            for name, found in report["backends"].items()
        },
    }
    lines = []
    for title, entries in sections.items():
        width = max(len(name) for name in entries)
        lines += [title, *(f"  {name:<{width}}  {value}" for name, value in entries.items()), ""]
    in_use = report["backend_in_use"]
    lines.append(f"In use: {in_use['name'] or 'none'} ({in_use['because']})")
    lines += [f"Problem: {problem}" for problem in report["problems"]]
    lines += [f"Warning: {warning}" for warning in report["warnings"]]
    if not report["problems"]:
        lines.append("All is well." if not report["warnings"] else "It works; see the warnings.")
    return "\n".join(lines)


def _machine_lines(report: dict[str, Any]) -> dict[str, str]:
    cpu, threads, cache = report["cpu"], report["threads"], report["numba_cache"]
    lines = {
        "CPU": cpu["model"],
        "cores": f"{cpu['usable_cores']} usable of {cpu['cores']}",
        "vectors": " ".join(cpu["vector_instructions"]) or "NumPy reports none beyond the baseline",
        "BLAS": " ".join(report["blas"].get(key, "") for key in ("name", "version")).strip()
        or "NumPy doesn't say",
    }
    if threads["numba"]:
        lines["threads"] = (
            f"Numba runs {threads['numba']}, by the layer {threads['layer'] or '(not started)'}"
        )
    if cache:
        state = "`minisegnet warmup` fills it ahead" if cache["writable"] else "can't be written"
        lines["cache"] = f"{cache['folder']} ({state})"
    if report["gpu"]:
        lines["GPU"] = report["gpu"]
    if report["cuda_on_cpu"]:
        lines["CUDA on CPU"] = "compiled by {compiler}, kept in {folder}".format(**report["cuda_on_cpu"])
    return lines
