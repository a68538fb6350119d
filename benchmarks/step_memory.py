"""How much memory one contender needs: ``python -m benchmarks.step_memory numba unet "training step" full 2``.

In a process of its own, because what others keep would count as nothing. First it computes one small picture, so that
libraries are loaded and kernels compiled. Then it learns (or infers) twice at full size: what is kept from the first
time for the second belongs to what it needs.
"""

import sys

from benchmarks import contenders, goals, machine, networks


def peak(name: str, network: str, kind: str, scale: str, threads: int) -> int:
    """Return by how many bytes the process grows at its highest point, weights not included."""
    chosen, situations = networks.at_scale(networks.NETWORKS, networks.SITUATIONS, scale)
    one = next(n for n in chosen if n.name == network)
    situation = situations[0]
    contenders.set_threads(threads)
    make = contenders.makers(["numpy", "numba"], threads)[name]
    small = make(networks.task(one, 1, (64, 64)))
    _run_twice(small, kind)
    large = make(networks.task(one, situation.batch, situation.size))
    with machine.ExtraMemory() as memory:
        _run_twice(large, kind)
    return memory.bytes


def _run_twice(contender: contenders.Contender, kind: str) -> None:
    with contender.context():
        for _ in range(2):
            _ = contender.infer() if kind == goals.INFERENCE else contender.step()


if __name__ == "__main__":
    _, name, network, kind, scale, threads = sys.argv
    print(peak(name, network, kind, scale, int(threads)))
