"""Each op on the device: right against NumPy, then its time against the device's limits and against PyTorch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.cases import Call, Case, Problem, Scale, as_tuple
from benchmarks.gpu import limits
from benchmarks.measure import Results, check_agreement, directions
from minisegnet import ops


def placed(call: Call) -> Call:
    """Return the same call with its arrays on the device."""
    options = {name: _moved(value) for name, value in call.options.items()}
    return replace(call, arguments=_moved(call.arguments), options=options)


def _moved(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_moved, value))
    return ops.to_backend(value) if isinstance(value, np.ndarray) else value


def fetched(results: Sequence[Any]) -> Results:
    """Copy results to NumPy."""
    return tuple(ops.to_numpy(a) for a in results if a is not None)


def measure(
    case: Case, scale: Scale, dtype: str, ceilings: dict[str, float], torch: Any
) -> list[dict[str, Any]]:
    """Measure a case: one row for the forward, one for the backward."""
    problem = case.problem(scale, dtype)
    with ops.use_backend("numpy"):
        saved = fetched(problem.forward.run())
    rows = []
    for direction in directions(problem):
        call = problem.forward if direction == "forward" else problem.backward(*saved)  # type: ignore[misc]
        with ops.use_backend("numpy"):
            expected = fetched(call.run())
        with ops.use_backend("cupy"):
            on_device = placed(call)
            what = f"{case.op} ({case.name}), {direction}"
            check_agreement(what, call.returns, expected, fetched(on_device.run()), "cupy", "numpy", dtype)
            seconds = limits.seconds_of(on_device.run)
        moved = call.bytes(expected)
        row = {
            "op": case.op,
            "case": case.name,
            "direction": direction,
            "shape": list((problem.leaves or problem.constants)[0].shape),
            "bytes": moved,
            "flops": call.flops,
            "seconds": {"cupy": seconds, **_torch_seconds(problem, direction, torch)},
            "share_of_copy": moved / seconds / ceilings["copy_bytes_per_s"],
            "share_of_matrix": call.flops / seconds / ceilings["matrix_flops_per_s"],
        }
        rows.append(row)
    return rows


def _torch_seconds(problem: Problem, direction: str, torch: Any) -> dict[str, float | str]:
    """Time PyTorch's function on the same arrays: as it is, with channels last, and compiled."""
    if torch is None or problem.torch is None:
        return {}
    kinds: dict[str, tuple[bool, bool]] = {
        "torch": (False, False), "torch channels last": (True, False), "torch compiled": (False, True)
    }  # fmt: skip
    found: dict[str, float | str] = {}
    for name, (channels_last, compiled) in kinds.items():
        try:
            run = _torch_call(problem, direction, torch, channels_last, compiled)
            found[name] = limits.seconds_of(run, done=torch.cuda.synchronize)
        except Exception as error:  # PyTorch has its reasons, such as no torchvision; the table goes on
            found[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return found


def _torch_call(
    problem: Problem, direction: str, torch: Any, channels_last: bool, compiled: bool
) -> Callable[[], Any]:
    def tensor(array: Any) -> Any:
        moved = torch.from_numpy(np.ascontiguousarray(array)).cuda()
        return moved.to(memory_format=torch.channels_last) if channels_last and moved.ndim == 4 else moved

    leaves = [tensor(a).requires_grad_(problem.backward is not None) for a in problem.leaves]
    constants = [tensor(a) for a in problem.constants]

    def forward() -> Any:
        return problem.torch(torch, torch.nn.functional, *leaves, *constants)  # type: ignore[misc]

    run = torch.compile(forward) if compiled else forward
    if direction == "forward":

        def without_tape() -> Any:
            with torch.no_grad():
                return run()

        return without_tape
    y, dy = as_tuple(run())[0], tensor(problem.dy)
    return lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True)
