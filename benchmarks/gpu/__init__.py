"""What only a machine with an NVIDIA GPU can say of the CUDA kernels: whether they are right there, and how fast.

Run ``python -m benchmarks gpu`` from the clone's root, and commit the record that it writes. ``python -m benchmarks
gpu --changed`` runs anywhere: it names the kernels that have changed since a GPU last ran them.

- ``command.py``: the order of things, and the record.
- ``sources.py``: the hash of each kernel's text, and what has changed.
- ``limits.py``: how fast the device copies and multiplies: nothing can be faster.
- ``ops.py``: each op against those limits, and against PyTorch.
- ``training.py``: losses against NumPy's, and the time of a training step against PyTorch's.
- ``as_torch.py``: our models, computed by PyTorch.
- ``results.py``: results of the kernels, to compare with those of the CPU that runs CUDA sources.
"""
