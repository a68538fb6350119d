"""Every example in a docstring is run, on each backend."""

import doctest
import importlib
import pkgutil

import pytest

import minisegnet
from minisegnet import ops

MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(minisegnet.__path__, "minisegnet.")
    if ".backends" not in info.name and not info.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, backend: str) -> None:
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
