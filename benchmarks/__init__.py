"""How fast are the kernels, and whole networks? Run ``python -m benchmarks ops`` from the clone's root.

Backends run side by side on the same arrays, with PyTorch as one more column where it is installed. Results
are compared before anything is timed, and nothing is asserted about speed: a number belongs to the machine
and the run that it was measured in, which the record names.

Ops (``run.py`` is the command):

- ``cases.py``: what is measured, one table.
- ``measure.py``: how: agreement, interleaved repeats, first call, memory.
- ``report.py``: the table, the JSON record, the Markdown page and the picture.
- ``roofline.py``, ``peak_kernel.py``: what the machine can do at best.

Networks (``models.py`` is the command):

- ``networks.py``: which, with what weights and pictures, in which situations.
- ``contenders.py``: who computes them; ``twins.py`` are PyTorch's.
- ``step_memory.py``: the memory of one contender, in a process of its own.
- ``models_report.py``: what is made of it.

And more:

- ``scaling.py``: time over pixels and batch; the same bits on 1 and 2 threads.
- ``errors.py``: float32 against float64.
- ``goals.py``: how fast we want to be.
- ``picture.py``, ``page.py``: the overview, the roofline, and the figures in docs/performance.md.
- ``machine.py``: the threads of every library, and what the record says of the machine.
"""
