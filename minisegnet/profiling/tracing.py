"""Which layer does what: every module's forward is taken to pieces, and every step of the tape belongs to a module.

A module owns what it computes itself; what the modules in it compute is theirs. So a U-Net's level owns its
concatenation, its convolutions own the rest. On the way back, a node of the tape belongs to the module in whose forward
it was recorded.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from minisegnet.arrays import Array
from minisegnet.autograd import Node, Tensor
from minisegnet.nn.module import Module
from minisegnet.training.watching import as_it_was, replace_forwards


class Owner(NamedTuple):
    """One call of a module, or another part of a step, such as the loss."""

    name: str
    kind: str
    call: int = 1  # a module may be called more than once

    @property
    def title(self) -> str:
        """Name for people."""
        return self.name if self.call == 1 else f"{self.name} (call {self.call})"


class Observer:
    """Is told what each part of a step does; a subclass writes the methods that it needs."""

    def begin(self, owner: Owner, direction: str) -> None:
        """See something begin: ``"forward"`` or ``"backward"``. What begins inside it is another's."""

    def end(self, owner: Owner, direction: str) -> None:
        """See it end."""

    def returned(self, owner: Owner, y: Array, nodes: list[Node]) -> None:
        """See what a forward returned, and the nodes that it owns."""


class Tracer:
    """Watches the steps of a model.

    >>> import numpy as np
    >>> from minisegnet import nn
    >>> class Print(Observer):
    ...     def begin(self, owner, direction):
    ...         print(direction, owner.name, owner.kind)
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    >>> tracer = Tracer(Print())
    >>> with tracer.watching(model):
    ...     y = model(np.ones((1, 1, 2, 2), np.float32))
    ...     y.backward(np.ones_like(y.data))
    forward the model Sequential
    forward 0 Conv2d
    forward 1 ReLU
    backward 1 ReLU
    backward 0 Conv2d
    """

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.claimed: set[Node] = set()

    @contextmanager
    def watching(self, model: Module) -> Iterator[None]:
        """Watch everything that the model computes inside the ``with`` block."""
        with as_it_was(model):
            replace_forwards(
                model, lambda name, module: _Traced(self, name or "the model", module), layers_only=False
            )
            yield

    def part(self, owner: Owner, compute: Callable[[], Any], inputs: tuple[Any, ...] = ()) -> Any:
        """Compute something that is no module, such as a loss, and own what it records."""
        self.observer.begin(owner, "forward")
        try:
            returned = compute()
        finally:
            self.observer.end(owner, "forward")
        y = returned[0] if isinstance(returned, tuple) else returned
        if isinstance(y, Tensor):
            nodes = self._claim(y, inputs)
            self.observer.returned(owner, y.data, nodes)
            for node in nodes:
                self._watch_backward(owner, node)
        return returned

    def _claim(self, y: Tensor, inputs: tuple[Any, ...]) -> list[Node]:
        """Find the nodes between y and the inputs that nobody owns yet, in the order of creation."""
        known = {x.node for x in _tensors(inputs)}
        found: list[Node] = []
        waiting = [y.node]
        while waiting:
            node = waiting.pop()
            if node is None or node in known:
                continue
            known.add(node)
            if node not in self.claimed:  # behind those of the modules inside there may be some of this one's
                found.append(node)
            waiting += [source for source in node.inputs if isinstance(source, Node)]
        self.claimed.update(found)
        return sorted(found, key=lambda node: node.number)

    def _watch_backward(self, owner: Owner, node: Node) -> None:
        """Tell the observer when a node's backward function runs."""
        inner = node.backward
        assert inner is not None

        def backward(dy: Array) -> Any:
            self.observer.begin(owner, "backward")
            try:
                return inner(dy)
            finally:
                self.observer.end(owner, "backward")

        node.backward = backward


class _Traced:
    """Stands in for a module's forward."""

    def __init__(self, tracer: Tracer, name: str, module: Module) -> None:
        self.tracer, self.name, self.forward = tracer, name, module.forward
        self.kind, self.calls = type(module).__name__, 0

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        self.calls += 1
        owner = Owner(self.name, self.kind, self.calls)
        given = (*inputs, *options.values())
        return self.tracer.part(owner, lambda: self.forward(*inputs, **options), given)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
