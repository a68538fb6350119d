"""``cupy.RawModule``: CUDA sources, compiled for the CPU and run there."""

import re
from functools import cached_property

import numpy as np

from . import device
from .arrays import ndarray


class RawModule:
    """The kernels of a text."""

    def __init__(self, *, code=None, path=None, options=(), backend="nvrtc", name_expressions=None):
        if code is None or path is not None or name_expressions is not None or backend != "nvrtc":
            raise NotImplementedError("the stand-in compiles texts of plain kernels only")
        self.code, self.options = code, options

    @cached_property
    def _module(self):
        from minisegnet.backends.cuda_on_cpu.module import Module
        from minisegnet.backends.cupy import manifest

        real = re.search(r"-DREAL=(\w+)", " ".join(self.options))[1]
        return Module("RawModule", self.code, manifest.kernels_in(self.code), real)

    def get_function(self, name):
        return RawKernel(self._module, name)


class RawKernel:
    """One kernel. As in CuPy, arguments are arrays of this module or NumPy's scalars, and nobody checks strides."""

    def __init__(self, module, name):
        self.name, self._run = name, module.get_function(name)
        self.max_dynamic_shared_size_bytes = 0

    def __call__(self, grid, block, args, *, shared_mem=0):
        for argument in args:
            if not isinstance(argument, ndarray | np.generic):
                raise TypeError(
                    f"a kernel takes arrays on the device and NumPy's scalars, not {type(argument)}"
                )
        inner = tuple(a._a if isinstance(a, ndarray) else a for a in args)
        device.launches.append(self.name)
        device.run(
            lambda: self._run(grid, block, inner, shared_mem=shared_mem),
            [a._memory for a in args if isinstance(a, ndarray)],
        )
