"""The learner's process: loads the file, then answers one call after the other, until nobody asks any more.

Started by `runner.py` as ``python -m minisegnet.marking.child``. What the learner's code prints goes to standard error,
which the marker keeps apart; what it reads from standard input is empty.
"""

import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from minisegnet.marking.calling import _told as told
from minisegnet.marking.calling import _where as where
from minisegnet.marking.calling import perform, taken
from minisegnet.marking.wire import receive, send


def main() -> None:
    """Load and answer."""
    asked, answers = _private_streams()
    order = receive(asked)
    if order is None:
        return
    _limit(order["bytes"], order["cpu_seconds"])
    try:
        module = _load(order["target"], order["is_file"])
    except BaseException as error:  # whatever a learner's file does while it is imported
        send(answers, _why(error, order["target"]))
        return
    functions, own = _functions(module, set(order["ops"]))
    file = getattr(module, "__file__", "") or ""
    send(
        answers,
        {
            "loaded": True,
            "functions": {op: asdict(taken(function)) for op, function in functions.items()},
            "ours": own,
            "others": [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")][:100],
        },
    )
    while (call := receive(asked)) is not None:
        outcome = perform(
            functions[call["op"]], call["positional"], call["options"], call["names"], call["layout"], file
        )
        sys.stdout.flush()
        send(answers, vars(outcome))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to the marker, and give the learner's code others in their place."""
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="replace")
    return asked, answers


def _limit(most_bytes: int, cpu_seconds: int) -> None:
    """Bound memory and time where the system can (not on Windows); the marker has a deadline of its own."""
    try:
        import resource
    except ImportError:
        return
    for what, most in (
        (resource.RLIMIT_AS, most_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        try:
            resource.setrlimit(what, (most, hard))
        except (ValueError, OSError):  # a system that knows the limit but doesn't let it be set
            continue


def _load(target: str, is_file: bool) -> ModuleType:
    """Import a file by its path, or a module by its name, as if Python had been started beside it."""
    if not is_file:
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(target)
    path = Path(target).resolve()
    sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"learner_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise ImportError(f"{target} can't be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _functions(module: ModuleType, ops: set[str]) -> tuple[dict[str, Callable[..., Any]], list[str]]:
    """Return the functions of the contract that the learner wrote, and the names of those that are ours."""
    found = {n: v for n, v in vars(module).items() if n in ops and callable(v)}
    ours = [n for n, v in found.items() if str(getattr(v, "__module__", "")).startswith("minisegnet.")]
    return {n: v for n, v in found.items() if n not in ours}, ours


def _why(error: BaseException, target: str) -> dict[str, Any]:
    kind, text, place = type(error).__name__, told(error), where(error, str(Path(target).resolve()))
    if isinstance(error, SyntaxError):
        text = error.msg
        line = (error.text or "").strip()
        place = f"line {error.lineno}: {line}" if line else f"line {error.lineno}"
    return {"loaded": False, "kind": kind, "text": text, "where": place}


if __name__ == "__main__":
    main()
