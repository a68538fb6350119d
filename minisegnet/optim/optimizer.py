"""What all optimisers share: the parameters, their groups, the checks before a step, saving and loading.

An optimiser keeps, for each parameter, how often it was updated and some arrays of the parameter's shape, the
*slots* (such as the speed of momentum). A subclass names its slots and has two methods: which settings are
allowed, and how one parameter is updated.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar, TypeAlias

import numpy as np

from minisegnet.arrays import Array
from minisegnet.autograd import Tensor
from minisegnet.ops import checks, to_numpy
from minisegnet.ops.dispatch import is_cupy
from minisegnet.optim.schedules import at_least_zero
from minisegnet.sizes import as_int

NamedTensor: TypeAlias = tuple[str, Tensor]
Parameters: TypeAlias = Iterable[Tensor] | Iterable[NamedTensor] | Iterable[dict[str, Any]]


class Optimizer(ABC):
    r"""Move parameters against their gradients.

    Parameters
    ----------
    parameters
        Tensors that require a gradient, or (name, tensor) pairs such as ``model.named_parameters()``, whose names
        then stand in error messages and in ``state_dict()``. (Otherwise the names are ``"0"``, ``"1"``, ….) Or
        groups with settings of their own: ``[{"params": backbone}, {"params": head, "lr": 0.01}]``; what a group
        doesn't set is as in the optimiser's arguments.
    options
        The optimiser's arguments, for groups that don't say otherwise.

    Notes
    -----
    ``param_groups`` is a list of dictionaries, as in PyTorch: ``"params"`` holds the tensors, and the other
    entries may be changed between steps.

    A step writes into each parameter's array in place (``tensor.data`` stays the same array), as recorded CUDA
    graphs need it. An array that was wrapped by ``Tensor`` without a copy changes with it. Call ``step()`` after
    ``backward()``, never between the forward pass and ``backward()``: the tape keeps the arrays themselves.

    The learning rate and the counts are Python numbers: they can't widen float32, but a CUDA graph would keep
    those of the step at which it was recorded. :class:`minisegnet.optim.on_device.OnDevice` has them on the GPU.
    """

    def __init__(self, parameters: Parameters, options: dict[str, Any]) -> None:
        self._who = type(self).__name__
        self.param_groups: list[dict[str, Any]] = []
        self._names: dict[Tensor, str] = {}
        self._state: dict[str, dict[str, Any]] = {}  # for each name: "step", and the slots once there are any

        for group in _as_groups(parameters, self._who):
            unknown = sorted(set(group) - set(options) - {"params"})
            if unknown or "params" not in group:
                raise ValueError(
                    f"{self._who}: a group has the keys {list(group)}; expected 'params' and any of {list(options)}"
                )
            named = as_parameters(group["params"], self._who, first_number=len(self._names))
            for name, tensor in named:
                self._enter(name, tensor)
            settings = self._checked_options({name: group.get(name, options[name]) for name in options})
            self.param_groups.append({"params": [tensor for _, tensor in named], **settings})

    def _enter(self, name: str, tensor: Tensor) -> None:
        if not tensor.requires_grad:
            raise ValueError(
                f"{self._who}: parameter {name} does not require a gradient; make it by "
                "Tensor(data, requires_grad=True), or leave it out if it shall stay as it is"
            )
        if tensor.node is not None:
            raise ValueError(
                f"{self._who}: parameter {name} is the result of a computation, which gets no .grad; pass the "
                "tensors that it was computed from"
            )
        if isinstance(tensor.data, np.ndarray) and not tensor.data.flags.writeable:
            raise ValueError(
                f"{self._who}: parameter {name} is read-only, and a step writes into it; pass the parameters of the "
                "model itself instead of those of nn.folded(model), or a copy of the array"
            )
        if tensor in self._names:
            raise ValueError(
                f"{self._who}: parameter {name} came before, as {self._names[tensor]}, and would be moved twice "
                "a step; pass each tensor once (shared weights, too)"
            )
        if name in self._state:
            raise ValueError(
                f"{self._who}: two parameters are named {name}; give each a name of its own (with several groups, "
                "name the parameters in all of them or in none)"
            )
        self._names[tensor] = name
        self._state[name] = {"step": 0}

    # -----------------------------------------------------------------------------------------------------
    # What a subclass adds

    _slot_names: ClassVar[tuple[str, ...]]  # the arrays that a parameter has from its first update on
    _slots_are_optional: ClassVar[bool] = False  # whether some settings need none

    @abstractmethod
    def _checked_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Check a group's settings; return them as Python floats and bools, which can't widen float32."""

    @abstractmethod
    def _update(self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any]) -> None:
        """Update one parameter in place; ``slots["step"]`` counts from 1."""

    def _update_on_device(
        self, data: Array, grad: Array, slots: dict[str, Any], options: dict[str, Any], control: Any
    ) -> None:
        """Do the same on a GPU, by what the arrays of ``control`` say; ``slots["step"]`` isn't read."""
        raise NotImplementedError(f"{self._who} can't be updated without the host; use step()")

    # -----------------------------------------------------------------------------------------------------
    # Training

    @property
    def lr(self) -> float:
        """Learning rate; setting it sets that of every group.

        For groups with different rates, read and set ``group["lr"]`` for each group in ``param_groups``.
        """
        rates = [group["lr"] for group in self.param_groups]
        if any(rate != rates[0] for rate in rates):
            raise ValueError(f"{self._who}: the groups have different rates, {rates}; read each group['lr']")
        return float(rates[0])

    @lr.setter
    def lr(self, value: float) -> None:
        rate = at_least_zero(value, "lr", self._who)
        for group in self.param_groups:
            group["lr"] = rate

    def zero_grad(self) -> None:
        """Forget the gradients: every ``.grad`` becomes None."""
        for tensor in self._names:
            tensor.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient; one whose ``.grad`` is None stays as it is.

        Everything is checked before the first parameter is changed.
        """
        groups = [(group["params"], self._group_options(group)) for group in self.param_groups]
        for tensor, name in self._names.items():
            self._check_gradient(tensor, name)
        for tensors, options in groups:
            for tensor in tensors:
                if tensor.grad is not None:
                    slots = self._state[self._names[tensor]]
                    slots["step"] += 1
                    self._update(tensor.data, tensor.grad, slots, options)

    def step_on_device(self, control_of: Callable[[int, str], Any]) -> list[str]:
        """Update every parameter that has a gradient, without waiting for the GPU; return their names.

        Parameters
        ----------
        control_of
            Given the number of a group and the name of a parameter, it returns what the update reads from the device
            (see :class:`minisegnet.optim.on_device.OnDevice`, which also counts the updates).
        """
        groups = [(group["params"], self._group_options(group)) for group in self.param_groups]
        for tensor, name in self._names.items():
            self._check_gradient(tensor, name)
        updated = []
        for number, (tensors, options) in enumerate(groups):
            for tensor in tensors:
                if tensor.grad is not None:
                    name = self._names[tensor]
                    grad, control = checks.contiguous(tensor.grad), control_of(number, name)
                    self._update_on_device(tensor.data, grad, self._state[name], options, control)
                    updated.append(name)
        return updated

    @property
    def update_counts(self) -> dict[str, int]:
        """How often each parameter was updated, by name, in the order in which they came."""
        return {name: slots["step"] for name, slots in self._state.items()}

    @update_counts.setter
    def update_counts(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            self._state[name]["step"] = as_int(count, f"{self._who}: the count of {name}", 0)

    def _group_options(self, group: dict[str, Any]) -> dict[str, Any]:
        return self._checked_options({name: value for name, value in group.items() if name != "params"})

    def _check_gradient(self, tensor: Tensor, name: str) -> None:
        data, grad = tensor.data, tensor.grad
        if grad is None:
            return
        if is_cupy(data) != is_cupy(grad):
            raise ValueError(
                f"{self._who}: parameter {name} and its gradient lie in different memories, one on the GPU; move "
                "them by to_backend or to_numpy"
            )
        if grad.shape != data.shape or grad.dtype != data.dtype:
            raise ValueError(
                f"{self._who}: parameter {name} has shape {data.shape}, {data.dtype} but its gradient has shape "
                f"{grad.shape}, {grad.dtype}; expected the same. Was .data replaced after backward()?"
            )
        if isinstance(data, np.ndarray) and not data.flags.writeable:
            raise ValueError(
                f"{self._who}: the array of parameter {name} is read-only and can't be updated in place; wrap a copy: "
                "Tensor(array.copy(), requires_grad=True)"
            )

    # -----------------------------------------------------------------------------------------------------
    # Saving and loading

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on exactly from here, in one flat dictionary.

        Returns
        -------
        state
            ``"<parameter>.step"`` (how often it was updated, a 0-d int64 array), ``"<parameter>.<slot>"`` (copies
            of the slots, which a parameter has from its first update on) and ``"groups.<i>.<setting>"`` (plain
            numbers; betas are two).

        Examples
        --------
        >>> from minisegnet.optim import SGD
        >>> w = Tensor(np.zeros(2), requires_grad=True)
        >>> optimizer = SGD([("w", w)], lr=0.1, momentum=0.9)
        >>> w.grad = np.ones(2)
        >>> optimizer.step()
        >>> state = optimizer.state_dict()
        >>> state["w.step"], state["w.momentum_buffer"], state["groups.0.momentum"]
        (array(1), array([1., 1.]), 0.9)
        """
        state: dict[str, Any] = {}
        for name, slots in self._state.items():
            for slot, value in slots.items():
                state[f"{name}.{slot}"] = np.array(value, np.int64) if slot == "step" else value.copy()
        for i, group in enumerate(self.param_groups):
            for key, value in _flat(self._group_options(group)).items():
                state[f"groups.{i}.{key}"] = value
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict()`` was called; the parameters themselves are not part of it.

        Names, shapes and dtypes are checked before anything is changed. The settings (learning rate and all) are
        loaded, too. Arrays are copied, to the GPU where the parameters lie there.

        Parameters
        ----------
        state
            What ``state_dict()`` of an optimiser of the same class, over parameters of the same names, returned.
        """
        reader = _Reader(state, self._who)
        settings, slots = [], {}
        for i, group in enumerate(self.param_groups):
            options = self._checked_options(reader.options(f"groups.{i}", self._group_options(group)))
            settings.append(options)
            for tensor in group["params"]:
                name = self._names[tensor]
                slots[name] = reader.slots(name, tensor.data, self._slot_names, self._slots_are_optional)
        reader.finish()
        self._state = slots
        for group, options in zip(self.param_groups, settings, strict=True):
            group.update(options)


class _Reader:
    """Take entries out of a state, and notice those that are missing, wrong or left over."""

    def __init__(self, state: Mapping[str, Any], who: str) -> None:
        self.left = dict(state)
        self.who = who
        self.missing: list[str] = []

    def options(self, prefix: str, like: dict[str, Any]) -> dict[str, Any]:
        """Read a group's settings; where one is missing, the one in use stands in until ``finish`` raises."""
        flat = {key: self._number(f"{prefix}.{key}", value) for key, value in _flat(like).items()}
        return {
            name: tuple(flat[f"{name}.{i}"] for i in range(len(value)))
            if isinstance(value, tuple)
            else flat[name]
            for name, value in like.items()
        }

    def slots(self, name: str, data: Array, names: tuple[str, ...], optional: bool) -> dict[str, Any]:
        """Read a parameter's count and slots."""
        count = as_int(self._number(f"{name}.step", 0), f"{self.who}: {name}.step", minimum=0)
        slots: dict[str, Any] = {"step": count}
        for slot in names if count else ():
            key = f"{name}.{slot}"
            if key in self.left:
                slots[slot] = self._array(key, data)
            elif not optional:
                self.missing.append(key)
        return slots

    def finish(self) -> None:
        """Raise if the state is that of something else."""
        if self.missing or self.left:
            raise ValueError(
                f"{self.who}: this state does not fit. Missing: {_first(self.missing)}; not expected: "
                f"{_first(list(self.left))}. It must come from an optimiser of the same class, with the same "
                "parameters in the same groups"
            )

    def _number(self, key: str, default: Any) -> Any:
        if key not in self.left:
            self.missing.append(key)
            return default
        value = self.left.pop(key)
        return value.item() if getattr(value, "shape", None) == () else value  # a file may hold 0-d arrays

    def _array(self, key: str, data: Array) -> Array:
        value = self.left.pop(key)
        if not (isinstance(value, np.ndarray) or is_cupy(value)):
            raise TypeError(f"{self.who}: {key} is a {type(value).__name__}; expected an array")
        if value.shape != data.shape or value.dtype != data.dtype:
            raise ValueError(
                f"{self.who}: {key} has shape {value.shape}, {value.dtype}, but the parameter has shape "
                f"{data.shape}, {data.dtype}; is the model another one, or its dtype?"
            )
        if is_cupy(data):
            cupy: Any = import_module("cupy")
            copy: Array = cupy.array(value)
            return copy
        return to_numpy(value).copy()


# ---------------------------------------------------------------------------------------------------------
# Reading the argument


def as_parameters(values: Any, who: str, first_number: int = 0) -> list[NamedTensor]:
    """Return tensors, (name, tensor) pairs or one tensor as a list of (name, tensor) pairs."""
    values = [values] if isinstance(values, Tensor) else _as_list(values, who)
    if not values:
        raise ValueError(
            f"{who}: there are no parameters; pass at least one tensor. (A generator can be walked through "
            "only once: was it used before?)"
        )
    named = []
    for i, value in enumerate(values, first_number):
        is_pair = isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str)
        name, tensor = value if is_pair else (str(i), value)
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{who}: parameter {name} is a {type(tensor).__name__}; expected a Tensor or a (name, Tensor) pair, "
                "such as model.named_parameters() gives"
            )
        named.append((name, tensor))
    return named


def _as_groups(parameters: Any, who: str) -> list[dict[str, Any]]:
    """Return the groups; parameters without groups are one."""
    if isinstance(parameters, Tensor):
        raise TypeError(f"{who}: parameters is one Tensor; expected a list of them: [tensor]")
    values = _as_list(parameters, who)
    groups = [value for value in values if isinstance(value, dict)]
    if not groups:
        return [{"params": values}]
    if len(groups) < len(values):
        raise TypeError(f"{who}: parameters mixes groups and tensors; put the tensors into a group, too")
    return groups


def _as_list(values: Any, who: str) -> list[Any]:
    if isinstance(values, dict | set | frozenset | str) or not isinstance(values, Iterable):
        raise TypeError(
            f"{who}: parameters is a {type(values).__name__}; expected a list of Tensors, or "
            "model.named_parameters()"
        )
    return list(values)


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    """Give each number of a setting such as betas an entry of its own."""
    flat = {}
    for name, value in options.items():
        flat.update(
            {f"{name}.{i}": v for i, v in enumerate(value)} if isinstance(value, tuple) else {name: value}
        )
    return flat


def _first(keys: list[str]) -> str:
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return (", ".join(keys[:4]) or "nothing") + more
