"""A training step by layers: how long, how much work, how much memory.

Three kinds of passes, because each would disturb the others: one counts the work, one the memory, and some, after
a warm-up in which kernels are compiled, take the time. Between these, steps that nobody watches are timed, too: the
parts should add up to nearly the whole.
"""

import importlib
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minisegnet import losses, ops, optim
from minisegnet.arrays import Array
from minisegnet.autograd import Node, Tensor
from minisegnet.buffers import without_reuse
from minisegnet.nn.module import Module
from minisegnet.ops.dispatch import selected_backend
from minisegnet.profiling.memory import kept_arrays, owner_of
from minisegnet.profiling.roofline import Machine, measure_machine
from minisegnet.profiling.tracing import Observer, Owner, Tracer
from minisegnet.profiling.work import CountingBackend, Work
from minisegnet.sizes import IntOrPair, Pair, as_int, as_pair

LOSS, UPDATE = Owner("(loss)", "cross-entropy"), Owner("(update)", "Adam")
WARM = 2  # steps before the clock starts
DIRECTIONS = ("forward", "backward")


class Part(NamedTuple):
    """One part of a step: a call of a layer, what a module does between its layers, the loss, or the update."""

    owner: Owner
    output: tuple[int, ...]  # shape
    seconds: dict[str, float]  # "forward" and "backward": medians
    work: dict[str, Work]
    output_bytes: int
    kept_bytes: int  # what it keeps for its backward and nobody before it does
    peak_bytes: dict[str, int]  # beyond what there was before

    @property
    def total(self) -> float:
        """Seconds, both ways."""
        return sum(self.seconds.values())


class Profile(NamedTuple):
    """A step of a training, taken to pieces."""

    parts: list[Part]  # in the order of the forward
    step: float  # seconds of a whole step that nobody watches, median
    watched: float  # of one that is watched
    peak_bytes: (
        int  # most that was in use during a step, beyond parameters, pictures and the optimiser's memory
    )
    parameter_bytes: int
    machine: Machine
    backend: str

    @property
    def rest(self) -> float:
        """Seconds of a step that are in no part: the tape's own work, sums of gradients, Python between the layers."""
        return self.step - sum(part.total for part in self.parts)

    @property
    def kept_bytes(self) -> int:
        """What the whole forward keeps for the backward."""
        return sum(part.kept_bytes for part in self.parts)


def profile(
    model: Module,
    *,
    size: IntOrPair,
    batch: int = 8,
    repeats: int = 7,
    seed: int = 0,
    machine: Machine | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Profile:
    """Take training steps of a model to pieces; afterwards its weights are those of before.

    Parameters
    ----------
    model
        Any that gives scores (N, classes, H, W) and has ``in_channels`` and ``classes``.
    size, batch
        Of the pictures, which are noise: the numbers don't matter to the time.
    repeats
        How often the time is taken; the medians count.
    machine
        Limits that were measured before; None: they are measured.
    tell
        Is told what is done next.

    Examples
    --------
    >>> from minisegnet import models, use_backend
    >>> model = models.build("unet", classes=2, width=2, depth=1)
    >>> with use_backend("numpy"):
    ...     result = profile(model, size=16, batch=1, repeats=1, machine=Machine(1e9, 1e9))
    >>> first = result.parts[0]
    >>> first.owner.name, first.output, first.work["forward"].flops  # 2 maps of 16 x 16, 27 weights, 2 operations
    ('encoder.0.0', (1, 2, 16, 16), 27648)
    """
    size, batch, repeats = as_pair(size, "size", 1), as_int(batch, "batch", 1), as_int(repeats, "repeats", 1)
    state, training = model.state_dict(), model.training
    step = _Step(model, size, batch, seed)
    try:
        model.train()
        tell(f"warming up: {WARM} steps")
        for _ in range(WARM):
            step.run(Tracer(Observer()))
        tell("counting operations, bytes and memory")
        counts, memory = _Counts(), _Memory(model)
        backend = _kernels()
        with ops.use_backend(CountingBackend(backend, counts.add)):
            step.watched(counts)
        with memory:
            step.watched(memory)
        tell(f"timing {repeats} steps, by layers and whole")
        watched, whole = [], []
        for _ in range(repeats):
            times = _Times()
            watched.append((step.watched(times), times.seconds))
            whole.append(step.unwatched())
    finally:
        model.load_state_dict(state)
        model.zero_grad()
        model.train(training)
    if machine is None:
        tell("measuring a matrix product and a copy")
        machine = measure_machine(next(model.parameters()).dtype.name)
    return Profile(
        parts=_parts(counts, memory, [seconds for _, seconds in watched]),
        step=median(whole),
        watched=median(seconds for seconds, _ in watched),
        peak_bytes=memory.highest,
        parameter_bytes=sum(parameter.data.nbytes for parameter in model.parameters()),
        machine=machine,
        backend=ops.current_backend(),
    )


def _kernels() -> ModuleType:
    """Return the module of the backend in use."""
    backend = selected_backend()
    if isinstance(backend, ModuleType):
        return backend
    return importlib.import_module(f"minisegnet.backends.{backend.replace('-', '_')}")


class _Step:
    """The same step of training, as often as it is wanted."""

    def __init__(self, model: Module, size: Pair, batch: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        sizes: Any = model
        dtype = next(model.parameters()).dtype
        self.model = model
        self.images = ops.to_backend(generator.normal(size=(batch, sizes.in_channels, *size)).astype(dtype))
        labels = generator.integers(0, sizes.classes, (batch, *sizes.output_size(size)))
        self.labels = ops.to_backend(labels)
        self.optimizer = optim.Adam(model.named_parameters(), lr=1e-4)

    def run(self, tracer: Tracer) -> None:
        """Forward, loss, backward, update."""
        self.optimizer.zero_grad()
        scores: Tensor = self.model(self.images)
        loss = tracer.part(LOSS, lambda: losses.cross_entropy(scores, self.labels), (scores,))
        loss.backward()
        tracer.part(UPDATE, self.optimizer.step)

    def watched(self, observer: Observer) -> float:
        """Make a step while somebody watches every module; return its seconds."""
        tracer = Tracer(observer)
        with tracer.watching(self.model):
            began = time.perf_counter()
            self.run(tracer)
            return time.perf_counter() - began

    def unwatched(self) -> float:
        """Make a step as a training does; return its seconds."""
        began = time.perf_counter()
        self.optimizer.zero_grad()
        loss = losses.cross_entropy(self.model(self.images), self.labels)
        loss.backward()
        self.optimizer.step()
        return time.perf_counter() - began


# ---------------------------------------------------------------------------------------------------------
# Three who watch


class _Innermost(Observer):
    """Knows who is at work: the innermost of those that have begun."""

    def __init__(self) -> None:
        self.stack: list[tuple[Owner, str]] = []
        self.outputs: dict[
            Owner, tuple[int, ...]
        ] = {}  # in the order of the returns, which is that of the layers
        self.output_bytes: dict[Owner, int] = {}
        self.owns: dict[Owner, int] = {}  # nodes of the tape

    def begin(self, owner: Owner, direction: str) -> None:
        self.stack.append((owner, direction))

    def end(self, owner: Owner, direction: str) -> None:
        self.stack.pop()

    def returned(self, owner: Owner, y: Array, nodes: list[Node]) -> None:
        self.outputs[owner], self.owns[owner] = tuple(y.shape), len(nodes)
        self.output_bytes[owner] = int(y.nbytes)


class _Counts(_Innermost):
    def __init__(self) -> None:
        super().__init__()
        self.work: dict[tuple[Owner, str], Work] = defaultdict(Work)

    def add(self, op: str, work: Work) -> None:
        if self.stack:
            self.work[self.stack[-1]] = self.work[self.stack[-1]].plus(work)


class _Times(_Innermost):
    """Each second belongs to the innermost."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[tuple[Owner, str], float] = defaultdict(float)
        self.since = 0.0

    def begin(self, owner: Owner, direction: str) -> None:
        now = time.perf_counter()
        if self.stack:
            self.seconds[self.stack[-1]] += now - self.since
        super().begin(owner, direction)
        self.since = time.perf_counter()

    def end(self, owner: Owner, direction: str) -> None:
        now = time.perf_counter()
        self.seconds[self.stack[-1]] += now - self.since
        super().end(owner, direction)
        self.since = time.perf_counter()


class _Memory(_Innermost):
    """Bytes of arrays that Python allocates (tracemalloc); what compiled code allocates inside isn't seen."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        tensors = (*model.named_parameters(), *model.named_buffers())
        self.seen = {id(owner_of(tensor.data)) for _, tensor in tensors}
        self.alive: list[Array] = []  # so that no other array gets the number of one that was seen
        self.kept: dict[Owner, int] = {}
        self.peak: dict[tuple[Owner, str], int] = defaultdict(int)
        self.before: list[int] = []
        self.base = self.highest = 0
        self.reuse = without_reuse()

    def __enter__(self) -> "_Memory":
        self.reuse.__enter__()
        tracemalloc.start()
        self.base = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._note()
        tracemalloc.stop()
        self.reuse.__exit__(None, None, None)
        self.alive.clear()

    def begin(self, owner: Owner, direction: str) -> None:
        self._note()
        super().begin(owner, direction)
        self.before.append(tracemalloc.get_traced_memory()[0])

    def end(self, owner: Owner, direction: str) -> None:
        self._note()
        super().end(owner, direction)
        self.before.pop()
        if self.before:  # what the inner one leaves behind is not the outer one's
            self.before[-1] = tracemalloc.get_traced_memory()[0]

    def _note(self) -> None:
        """Note the peak since the last time for the innermost, and begin anew."""
        most = tracemalloc.get_traced_memory()[1]
        self.highest = max(self.highest, most - self.base)
        if self.stack:
            self.peak[self.stack[-1]] = max(self.peak[self.stack[-1]], most - self.before[-1])
        tracemalloc.reset_peak()

    def returned(self, owner: Owner, y: Array, nodes: list[Node]) -> None:
        super().returned(owner, y, nodes)
        new = {id(a): a for node in nodes for a in kept_arrays(node.backward) if id(a) not in self.seen}
        self.seen.update(new)
        self.kept[owner] = sum(array.nbytes for array in new.values())


# ---------------------------------------------------------------------------------------------------------
# Together


def _parts(counts: _Counts, memory: _Memory, times: Sequence[dict[tuple[Owner, str], float]]) -> list[Part]:
    """Join what was seen; a module that records nothing itself (it only calls others) is no part."""
    owners = [owner for owner in counts.outputs if counts.owns[owner]]
    owners.append(UPDATE)
    parts = []
    for owner in owners:
        shape = counts.outputs.get(owner, ())
        seconds = {d: median(t.get((owner, d), 0.0) for t in times) for d in DIRECTIONS}
        parts.append(
            Part(
                owner,
                shape,
                seconds,
                {d: counts.work.get((owner, d), Work()) for d in DIRECTIONS},
                counts.output_bytes.get(owner, 0),
                memory.kept.get(owner, 0),
                {d: memory.peak.get((owner, d), 0) for d in DIRECTIONS},
            )
        )
    return parts
