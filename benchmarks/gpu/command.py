"""``python -m benchmarks gpu``: the order of things, what is printed, and the record."""

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import cases, machine
from benchmarks.gpu import limits, ops, results, sources, training
from benchmarks.measure import Disagreement
from minisegnet.files import write_atomically
from minisegnet.ops import why_not

ROOT = Path(__file__).parent.parent.parent
SUITES = (  # each is pytest's arguments
    ("tests/test_ops.py", "-k", "cupy"),
    ("tests/on_device",),
)


class Sizes(NamedTuple):
    """How large the measurements are."""

    scale: cases.Scale
    copied: int  # float32 numbers
    side: int  # of the matrices
    picture: int
    batch: int
    steps: int
    width: int | None  # of the models; None: their own


FULL = Sizes("full", 2**28, 8192, 128, 16, 40, None)
TOY = Sizes("toy", 2**10, 16, 32, 2, 5, 2)


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Do what the command line asks for; return the exit status."""
    if options.changed:
        print(sources.report())
        return 0
    if reason := why_not("cupy"):
        print(f"python -m benchmarks gpu needs an NVIDIA GPU: {reason}")
        return 2
    sizes = TOY if options.toy else FULL
    record: dict[str, Any] = {
        "schema": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks", *arguments]),
        "machine": machine.describe(),
        "device": limits.device(),
        "kernels": sources.hashes(),
        "sizes": sizes._asdict(),
    }
    print(f"{record['device']['name']}, CuPy {record['device']['cupy']}")
    fine = measure(record, options, sizes)
    path = options.out / f"gpu-{record['date'][:10]}.json"
    options.out.mkdir(parents=True, exist_ok=True)
    kept = path.with_name(f"{path.stem}-results.npz")
    results.write(kept, cases.select(options.ops, "toy"))
    record["results"] = kept.name
    write_atomically(path, json.dumps(record, indent=1) + "\n")
    print(f"wrote {path} and {kept.name}" + ("" if fine else "; SOMETHING IS WRONG, see above"))
    return 0 if fine else 1


def measure(record: dict[str, Any], options: argparse.Namespace, sizes: Sizes) -> bool:
    """Fill the record; say whether all that was checked is right."""
    record["suites"] = [] if options.no_suite else [suite(arguments) for arguments in SUITES]
    record["limits"] = limits.measure(sizes.copied, sizes.side)
    print(limits_line(record["limits"]))
    record["agreement"] = training.agreement(sizes.picture, sizes.batch, sizes.steps, sizes.width)
    print(f"losses against NumPy's, largest difference: {record['agreement']['largest_relative_difference']}")
    torch = torch_on_gpu()
    record["torch"] = torch.__version__ if torch else None
    record["ops"], record["wrong"] = [], []
    for case in cases.select(options.ops, sizes.scale):
        try:
            rows = ops.measure(case, sizes.scale, "float32", record["limits"], torch)
        except Disagreement as error:
            record["wrong"].append(str(error))
            print(f"WRONG: {error}")
            continue
        record["ops"] += rows
        for row in rows:
            print(op_line(row), flush=True)
    record["training"] = []
    for model in training.MODELS:
        record["training"].append(training.step_times(model, sizes.picture, sizes.batch, sizes.width, torch))
        print(step_line(record["training"][-1]), flush=True)
    passed = all(found["passed"] for found in record["suites"])
    agrees: bool = record["agreement"]["agrees"]
    return passed and agrees and not record["wrong"]


def suite(arguments: Sequence[str]) -> dict[str, Any]:
    """Run tests on the device."""
    print(f"running {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or ["nothing was printed"])[-1]
    print(f"  {last}" if done.returncode == 0 else done.stdout[-4000:] + done.stderr[-2000:], flush=True)
    return {"tests": " ".join(arguments), "passed": done.returncode == 0, "told": last}


def torch_on_gpu() -> Any:
    """Return PyTorch where it is installed and finds the GPU, else None."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch: Any = import_module("torch")
    return torch if torch.cuda.is_available() else None


# ---------------------------------------------------------------------------------------------------------
# Words


def limits_line(found: dict[str, float]) -> str:
    """Say what the device can do."""
    copied, multiplied = found["copy_bytes_per_s"] / 1e9, found["matrix_flops_per_s"] / 1e12
    return f"copies {copied:.4g} GB/s, multiplies {multiplied:.4g} TFLOP/s in float32"


def op_line(row: dict[str, Any]) -> str:
    """Say how long an op takes, and which part of the device's limit that is."""
    limit = "matrix" if row["flops"] else "copy"
    name = f"{row['op']} ({row['case']}), {row['direction']}"
    return f"{name:<60} {row[f'share_of_{limit}']:6.1%} of {limit:<6}  {_times(row['seconds'])}"


def step_line(row: dict[str, Any]) -> str:
    """Say how long a training step takes."""
    return f"step of {row['model']}, {row['batch']} pictures of {row['size']}: {_times(row['seconds'])}"


def _times(seconds: dict[str, float | str]) -> str:
    told = [
        f"{name} {1e3 * s:.4g} ms" if isinstance(s, float) else f"{name}: {s}" for name, s in seconds.items()
    ]
    return ", ".join(told)
