"""How fast are the kernels? Run ``python -m benchmarks ops`` from the clone's root.

Backends run side by side on the same arrays, with PyTorch as one more column where it is installed. Results
are compared before anything is timed, and nothing is asserted about speed: a number belongs to the machine
and the run that it was measured in, which the record names.

- ``cases.py``: what is measured, one table.
- ``measure.py``: how: agreement, interleaved repeats, first call, memory.
- ``report.py``: the table, the JSON record, the Markdown page and the picture.
- ``machine.py``: the threads of every library, and what the record says of the machine.
"""
