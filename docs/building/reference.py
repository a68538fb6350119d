"""The sources of the API reference: for each module a page that lists what it has and shows its docstrings.

Sphinx reads the docstrings itself; these pages say which, and in which order. What a package takes from its files is
grouped by file, under the beginning of the file's docstring.
"""

import importlib
import inspect
import re
from types import ModuleType
from typing import Any

# Pages by part. What two modules have is documented on the page of the first.
MODULES = {
    "Kernels and gradients": [
        "minisegnet.ops",
        "minisegnet.functional",
        "minisegnet.autograd",
        "minisegnet.testing",
        "minisegnet.sizes",
        "minisegnet.backends.reference",
    ],
    "Networks": [
        "minisegnet.nn",
        "minisegnet.models",
        "minisegnet.models.patch",
        "minisegnet.models.fcn",
        "minisegnet.models.segnet",
        "minisegnet.models.deconvnet",
        "minisegnet.models.unet",
        "minisegnet.models.draw",
        "minisegnet.losses",
        "minisegnet.optim",
        "minisegnet.metrics",
    ],
    "Pictures": ["minisegnet.data", "minisegnet.data.augment", "minisegnet.viz"],
    "Training and after": [
        "minisegnet.training",
        "minisegnet.predictor",
        "minisegnet.inference",
        "minisegnet.blending",
        "minisegnet.report",
        "minisegnet.diagnosis",
        "minisegnet.profiling",
    ],
    "In and out": ["minisegnet.export", "minisegnet.weights", "minisegnet.exchange"],
}

INDEX = """API reference
=============

What every public function and class does, from its docstring, with a link to its source. Arrays go in and come out;
``x`` is (N, C, H, W) unless something else is said (:doc:`/conventions`).

At the top of the package stand ``Tensor`` and ``no_grad`` (:mod:`minisegnet.autograd`), ``use_backend`` and ``ops``
(:mod:`minisegnet.ops`), ``functional`` (:mod:`minisegnet.functional`), ``nn`` (:mod:`minisegnet.nn`), ``models``
(:mod:`minisegnet.models`) and ``load`` (:func:`minisegnet.predictor.load`).
"""


def pages() -> dict[str, str]:
    """Return the text (reStructuredText) of each page by its name, ``index`` included."""
    texts, index, seen = {}, [INDEX], set[int]()
    for part, names in MODULES.items():
        index += [part, "-" * len(part), "", ".. toctree::", "   :maxdepth: 1", ""]
        for name in names:
            texts[name] = _page(importlib.import_module(name), seen)
            index.append(f"   {name}")
        index.append("")
    return texts | {"index": "\n".join(index)}


def _page(module: ModuleType, seen: set[int]) -> str:
    name = module.__name__
    lines = [name, "=" * len(name), "", f".. automodule:: {name}", "", f".. currentmodule:: {name}", ""]
    groups: dict[str, list[str]] = {name: []}  # by the file that it stands in; the module's own come first
    for public in public_names(module):
        value = getattr(module, public)
        if id(value) not in seen:
            seen.add(id(value))
            groups.setdefault(value.__module__, []).append(public)
    for place, listed in groups.items():
        if place != name and len(groups) > 2:
            heading = _heading(importlib.import_module(place))
            lines += [heading, "-" * len(heading.encode()), ""]
        if listed:
            lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {each}" for each in listed), ""]
        for each in listed:
            if inspect.isclass(getattr(module, each)):
                lines += [f".. autoclass:: {each}", "   :members:", ""]
            else:
                lines += [f".. autofunction:: {each}", ""]
    return "\n".join(lines)


def public_names(module: ModuleType) -> list[str]:
    """Return the functions and classes that a module offers: in its ``__all__``, or written in it."""
    listed = getattr(module, "__all__", None)
    names = [name for name in vars(module) if not name.startswith("_")] if listed is None else listed
    return [name for name in names if _is_shown(getattr(module, name), module, listed is not None)]


def _is_shown(value: Any, module: ModuleType, listed: bool) -> bool:
    place = getattr(value, "__module__", None) or ""  # a constant or an alias has none of ours
    return callable(value) and (place.startswith("minisegnet.") if listed else place == module.__name__)


def _heading(module: ModuleType) -> str:
    line = re.sub(r":\w+:`~?([^`]*)`", r"\1", (module.__doc__ or module.__name__).strip().splitlines()[0])
    return line.split(". ")[0].split(": ")[0].rstrip(".:")
