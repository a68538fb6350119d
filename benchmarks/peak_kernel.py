"""The loop that measures how many operations a second this processor can do. Needs Numba.

A fused multiply-add gives its result after some four cycles, but two of them can begin in each. So one chain of them,
each waiting for the one before, would keep the processor idle for most of the time: there must be at least eight
chains. Twelve, with the two factors, still fit into the sixteen registers of processors without AVX-512.
"""

from numba import prange

from minisegnet.backends.numba.fast.vectors import LANES as LANES
from minisegnet.backends.numba.fast.vectors import registers, spread, store
from minisegnet.backends.numba.launch import helper, parallel_kernel

CHAINS = 12


@helper
def chains(results, factors, rounds):
    """CHAINS times v <- a v + b, in registers, as often as ``rounds`` says. It is 1 in the end, where a + b is 1."""
    block = registers(CHAINS)
    a, b = spread(factors, 0), spread(factors, 1)
    for _ in range(rounds):
        for k in range(CHAINS):
            block[k] = block[k] * a + b
    for k in range(CHAINS):
        store(block[k], results, k, 0)


@parallel_kernel
def multiply_and_add(results, factors, rounds):
    """Do the same on each thread; results: (threads, CHAINS, LANES)."""
    for thread in prange(results.shape[0]):
        chains(results[thread], factors, rounds)
