"""Modules made of modules."""

from collections.abc import Iterable, Iterator
from typing import Any

from minisegnet.nn.fused import in_turn
from minisegnet.nn.module import Module


class ModuleList(Module):
    """A list of modules, which are named by their numbers."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        if not isinstance(module, Module):
            hint = ""
            if isinstance(self, Sequential) and isinstance(module, list | tuple):
                hint = "; put a star in front of a list: Sequential(*modules)"
            raise TypeError(f"{type(self).__name__} takes modules; got {type(module).__name__}{hint}")
        setattr(self, str(len(self)), module)

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class Sequential(ModuleList):
    """Modules that run one after the other.

    >>> from minisegnet import nn
    >>> block = Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    >>> [name for name, _ in block.named_parameters()]
    ['0.weight', '0.bias']
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """Feed each module with what the one before it returned."""
        for call in in_turn(self):
            x = call(x)
        return x
