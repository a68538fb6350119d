"""Who computes a network: our backends, PyTorch in four ways, ONNX Runtime. Each can infer; most can learn."""

import importlib
import importlib.util
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from benchmarks.networks import CHANNELS, CLASSES, Task
from minisegnet import losses, nn, no_grad, ops, optim
from minisegnet.arrays import Array

LEARNING_RATE = 1e-3


class Outcome(NamedTuple):
    """What a forward and a backward give, to be compared."""

    scores: Array
    loss: float | None  # None, and no gradients, after inference
    gradients: dict[str, Array]


class Contender(Protocol):
    """Somebody with a network of their own, all with the same weights."""

    name: str
    learns: bool

    def context(self) -> AbstractContextManager[Any]:
        """Return what is entered around a call, outside of the clock."""

    def scores(self) -> Array:
        """Run the network as a finished one does."""

    def infer(self) -> Any:
        """Do the same, to be timed."""

    def outcome(self) -> Outcome:
        """Run forward and backward in training, without a step."""

    def step(self) -> Any:
        """Do a training step: forward, loss, backward, gradient descent."""


class Ours:
    """One of our backends."""

    learns = True

    def __init__(self, backend: str, task: Task) -> None:
        self.name, self.task = backend, task
        with self.context():
            self.model = task.model()
            self.finished: nn.Module | None = None
            self.optimizer = optim.SGD(self.model.parameters(), lr=LEARNING_RATE)

    def context(self) -> AbstractContextManager[Any]:
        """Return the backend's."""
        return ops.use_backend(self.name)

    def scores(self) -> Array:
        """Return (N, classes, H, W)."""
        self.finished = None
        return self.infer()

    def infer(self) -> Array:
        """Record nothing; the batch normalisation has been folded away."""
        if self.finished is None:
            self.finished = nn.folded(self.model)
        with no_grad():
            scores: Array = self.finished(self.task.images).data
        return scores

    def outcome(self) -> Outcome:
        """Leave no gradients behind."""
        self.model.train()
        self.optimizer.zero_grad()
        scores = self.model(self.task.images)
        loss = losses.cross_entropy(scores, self.task.labels)
        loss.backward()
        gradients = {name: _known(p.grad) for name, p in self.model.named_parameters()}
        self.optimizer.zero_grad()
        return Outcome(scores.data, loss.item(), gradients)

    def step(self) -> None:
        """Do as the training loop does."""
        self.optimizer.zero_grad()
        losses.cross_entropy(self.model(self.task.images), self.task.labels).backward()
        self.optimizer.step()


def _known(gradient: Array | None) -> Array:
    if gradient is None:
        raise ValueError("a weight got no gradient: nothing to compare")
    return gradient


class Torch:
    """PyTorch, eager or compiled, channels first or last in memory."""

    learns = True

    def __init__(self, task: Task, *, channels_last: bool = False, compiled: bool = False) -> None:
        self.name = "torch" + " compiled" * compiled + " channels_last" * channels_last
        self.torch: Any = importlib.import_module("torch")
        torch, width = self.torch, task.network.width
        layout = torch.channels_last if channels_last else torch.contiguous_format
        twins: Any = importlib.import_module("benchmarks.twins")
        self.twin = twins.build(task.network.name, task.state, CHANNELS, CLASSES, width)
        self.twin.to(memory_format=layout)
        self.model = torch.compile(self.twin) if compiled else self.twin
        self.images = torch.from_numpy(task.images).to(memory_format=layout)
        self.labels = torch.from_numpy(task.labels)
        self.optimizer = torch.optim.SGD(self.twin.parameters(), lr=LEARNING_RATE)

    def context(self) -> AbstractContextManager[Any]:
        """Return nothing special."""
        return nullcontext()

    def scores(self) -> Array:
        """Return an array."""
        self.twin.eval()
        return _array(self.infer())

    def infer(self) -> Any:
        """Record nothing."""
        with self.torch.inference_mode():
            return self.model(self.images)

    def outcome(self) -> Outcome:
        """Leave no gradients behind."""
        self.twin.train()
        self.optimizer.zero_grad()
        scores = self.model(self.images)
        loss = self.torch.nn.functional.cross_entropy(scores, self.labels)
        loss.backward()
        gradients = {name: _array(p.grad).copy() for name, p in self.twin.named_parameters()}
        self.optimizer.zero_grad()
        return Outcome(_array(scores), loss.item(), gradients)

    def step(self) -> None:
        """Do as PyTorch's tutorials do."""
        self.optimizer.zero_grad()
        self.torch.nn.functional.cross_entropy(self.model(self.images), self.labels).backward()
        self.optimizer.step()


def _array(tensor: Any) -> Array:
    array: Array = tensor.detach().contiguous().numpy()
    return array


class OnnxRuntime:
    """ONNX Runtime on the CPU, with the file that we export. It folds the batch normalisation itself."""

    name = "onnxruntime"
    learns = False

    def __init__(self, threads: int, task: Task) -> None:
        from minisegnet.export import to_onnx

        onnxruntime: Any = importlib.import_module("onnxruntime")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # see machine.WAITING
        with tempfile.TemporaryDirectory() as folder, ops.use_backend("numpy"):
            path = Path(folder) / "model.onnx"
            to_onnx(task.model().eval(), path, input_shape=task.images.shape)
            self.session = onnxruntime.InferenceSession(
                path.read_bytes(), settings, providers=["CPUExecutionProvider"]
            )
        self.images = task.images

    def context(self) -> AbstractContextManager[Any]:
        """Return nothing special."""
        return nullcontext()

    def scores(self) -> Array:
        """Return an array."""
        return self.infer()

    def infer(self) -> Array:
        """Run the session."""
        scores: Array = self.session.run(["scores"], {"image": self.images})[0]
        return scores

    def outcome(self) -> Outcome:
        """Refuse."""
        raise NotImplementedError("ONNX Runtime doesn't learn")

    step = outcome


# ---------------------------------------------------------------------------------------------------------
# Who is there


Maker: TypeAlias = Callable[[Task], Contender]


def makers(backends: Sequence[str], threads: int) -> dict[str, Maker]:
    """Return how each contender is made."""
    found: dict[str, Maker] = {name: partial(Ours, name) for name in backends}
    return found | {
        "torch": Torch,
        "torch channels_last": partial(Torch, channels_last=True),
        "torch compiled": partial(Torch, compiled=True),
        "torch compiled channels_last": partial(Torch, channels_last=True, compiled=True),
        "onnxruntime": partial(OnnxRuntime, threads),
    }


def why_not(name: str) -> str | None:
    """Say why a contender can't run here; None if it can."""
    if name.startswith("torch") and importlib.util.find_spec("torch") is None:
        return "PyTorch isn't installed"
    if "compiled" in name and compiler() is None:
        return "torch.compile needs a C++ compiler, and there is none"
    if name == "onnxruntime":
        for package in ("onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                return f"{package} isn't installed"
    return None


def compiler() -> str | None:
    """Return the C++ compiler that torch.compile would find."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")


def error_in_a_line(error: Exception) -> str:
    """Write an error so that it fits into a table."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:160]


def set_threads(threads: int) -> None:
    """Let Numba, PyTorch and BLAS work with so many threads, not more than they were started with."""
    if "numba" in sys.modules:
        numba: Any = sys.modules["numba"]
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    importlib.import_module("threadpoolctl").threadpool_limits(threads, user_api="blas")


def largest_difference(expected: Array, found: Array) -> float:
    """Return the largest difference as a share of the largest number; NaN counts as infinite."""
    difference = float(np.max(np.abs(expected - found))) / max(float(np.max(np.abs(expected))), 1e-30)
    return difference if difference == difference else math.inf


def distance(expected: Array, found: Array) -> float:
    """Return the length of the difference as a share of the length of what is expected; NaN counts as infinite."""
    length = float(np.linalg.norm(expected.astype(np.float64)))
    share = float(np.linalg.norm((found - expected).astype(np.float64))) / max(length, 1e-30)
    return share if share == share else math.inf
