"""The CUDA kernels, run on the CPU: the launchers and the .cu files of backends/cupy, given NumPy arrays.

It is slow and meant for tests and for learning: each CUDA thread is a fiber (see fibers.h), and g++ compiles the
sources when they are first used (see build.py).
"""

from minisegnet.backends.cupy import *  # noqa: F403  (the launchers choose by where the arrays lie)
