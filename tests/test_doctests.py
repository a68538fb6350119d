"""Every example in a docstring is run, on each backend."""

import doctest
import importlib
import pkgutil

import pytest
from op_table import CPU_BACKENDS

import minisegnet
from minisegnet import ops

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(minisegnet.__path__, "minisegnet.")
    if ".backends" not in info.name and not info.name.endswith("__main__")
)


def marks(name: str, backend: str) -> list[pytest.MarkDecorator]:
    """What is built on the ops need not go through CUDA on the CPU every day, which is slow."""
    own = (".ops", ".functional", ".nn")
    return [pytest.mark.slow] if backend == "cuda-on-cpu" and not any(part in name for part in own) else []


PARAMETERS = [pytest.param(n, b, id=f"{b}-{n}", marks=marks(n, b)) for n in MODULES for b in CPU_BACKENDS]


@pytest.mark.parametrize(("name", "backend"), PARAMETERS)
def test_examples_run(name: str, backend: str) -> None:
    if ops.why_not(backend):
        pytest.skip(str(ops.why_not(backend)))
    module = importlib.import_module(name)
    with ops.use_backend(backend):
        result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_op_has_an_example() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    for name in ops.__all__:
        op = getattr(ops, name)
        if callable(op) and name not in ("to_backend", "to_numpy"):
            assert any(test.examples for test in finder.find(op, name)), f"{name} has no example"
