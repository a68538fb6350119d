"""Training steps on a GPU, which works while the host goes on.

A GPU is given its work by a queue. As long as there is something in it, the device is busy; when the host asks for a
number, it waits until the queue is empty, and then the device waits for the host. So nothing here asks for a number in
a step: losses and lengths of gradients gather in an array on the device, and are fetched now and then, all at once.

What the host decides on the CPU (is the loss finite?), the device decides here, see
:mod:`minisegnet.optim.on_device`: after a step that went wrong it changes nothing any more, until the host has looked.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minisegnet import nn, ops
from minisegnet.arrays import Array
from minisegnet.backends.cupy import problems
from minisegnet.data.loader import Batch
from minisegnet.optim.on_device import OnDevice
from minisegnet.training.loop import Measured, NotFinite, Steps, explain, labels_seen
from minisegnet.training.session import Session

TOLD_EVERY = 20  # steps between two looks, unless the loop wants one
WARM = 3  # steps before one is recorded: kernels are compiled, the optimiser's arrays are made


class DeviceSteps(Steps):
    """Makes steps on a GPU, and tells what they measured when it is asked to."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.updates = OnDevice(session.optimizer, session.settings.clip or math.inf)
        self.rows: Array = self.updates.xp.zeros((TOLD_EVERY, 3), np.float64)
        self._rates: list[float] = []  # of the steps that haven't been told yet

    def make(self, batch: Batch) -> None:
        """Put a step into the queue."""
        session, progress = self.session, self.session.progress
        with self._queue():
            session.optimizer.lr = session.schedule(progress.step)
            self.updates.set_rates()
            self._step(ops.to_backend(batch.images), ops.to_backend(batch.labels))
            self.rows[len(self._rates)] = self.updates.row
        self._rates.append(session.optimizer.lr)
        progress.step += 1

    def _queue(self) -> AbstractContextManager[Any]:
        """Choose the queue (in CUDA's words: the stream) that the work goes to."""
        return nullcontext()

    def _step(self, images: Array, labels: Array) -> None:
        """Scores, loss, gradients, update: a step of which the host sees nothing."""
        session, model = self.session, self.session.model
        buffers = [(buffer, buffer.data) for _, buffer in model.named_buffers()]
        model.train()
        nn.set_step(model, session.progress.step)
        session.optimizer.zero_grad()
        scores = model(images)  # (N, classes, OH, OW)
        loss = session.loss_of(scores, labels_seen(labels, scores.shape[2:]))
        loss.backward()
        self.updates.step(loss, buffers)

    def told(self, everything: bool) -> Iterator[tuple[int, Measured]]:
        """Yield the number of each step that hasn't been told yet and what it measured; this waits for the GPU."""
        if not self._rates or not (everything or len(self._rates) == TOLD_EVERY):
            return
        with self._queue():
            rows = self.rows.get()[: len(self._rates)]  # type: ignore[attr-defined]
            self.updates.fetch_counts()
        rates, self._rates = self._rates, []
        first = self.session.progress.step - len(rates) + 1
        for number, (loss, norm, halted) in enumerate(rows.tolist()):
            if halted:
                self._fail(first + number, loss, norm)
            yield first + number, Measured(loss, rates[number], norm)

    def _fail(self, step: int, loss: float, norm: float) -> None:
        """Go back to before the step that went wrong, where the device has stopped, and say what it was."""
        self.session.progress.step = step - 1
        self.updates.halted.fill(0)
        self.session.optimizer.zero_grad()
        try:
            problems.raise_found()
        except ValueError as error:
            raise ValueError(f"step {step}: {error}. The step was not made") from None
        batch = self.session.loader.batch(step - 1)
        images, labels = ops.to_backend(batch.images), ops.to_backend(batch.labels)
        size = self.session.model.output_size(images.shape[2:])
        raise NotFinite(explain(self.session, images, labels_seen(labels, size), loss, norm))


class GraphSteps(DeviceSteps):
    """Records a step once and repeats it: the host then hands over a single piece of work for each step.

    A CUDA graph repeats the same kernels on the same memory with the same numbers. So a batch is copied to where the
    recorded step reads it; the learning rate, and all that counts steps, lies on the device; and the memory that the
    step took while it was recorded comes from a pool that nobody else takes from, as long as the graph lives.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        cuda: Any = self.updates.xp.cuda
        self.stream = cuda.Stream()  # no graph can be recorded from the default stream
        self.pool = cuda.MemoryPool()
        self._made = 0
        self._graph: Any = None
        self._images: Array | None = None
        self._labels: Array | None = None

    def _queue(self) -> AbstractContextManager[Any]:
        queue: AbstractContextManager[Any] = self.stream
        return queue

    def _private_memory(self) -> AbstractContextManager[Any]:
        """Take memory from the graph's own pool inside the block."""
        taking: AbstractContextManager[Any] = self.updates.xp.cuda.using_allocator(self.pool.malloc)
        return taking

    def _step(self, images: Array, labels: Array) -> None:
        images, labels = self._placed(images, labels)
        self._made += 1
        if self._made == 1:  # what is made once and stays, such as the optimiser's arrays, isn't the graph's
            super()._step(images, labels)
            return
        if self._made <= WARM:
            with self._private_memory():
                super()._step(images, labels)
            return
        if self._graph is None:
            with self._private_memory():
                self.stream.begin_capture()
                try:
                    super()._step(images, labels)
                finally:
                    self._graph = self.stream.end_capture()
        self._graph.launch()

    def _placed(self, images: Array, labels: Array) -> tuple[Array, Array]:
        """Copy a batch to where the recorded step reads it."""
        if self._images is None or self._labels is None:
            self._images, self._labels = images.copy(), labels.copy()
        if images.shape != self._images.shape:
            raise ValueError(
                f"a batch has shape {images.shape} and the recorded step {self._images.shape}; a CUDA graph needs "
                "batches of one size: give --crop, or leave --cuda-graph out"
            )
        self._images[...], self._labels[...] = images, labels
        return self._images, self._labels
