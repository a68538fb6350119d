"""The networks that are measured, with their weights, pictures and labels; in which situations."""

from typing import Any, NamedTuple

import numpy as np

from minisegnet import models, nn
from minisegnet.arrays import Array

CHANNELS, CLASSES = 3, 21


class Network(NamedTuple):
    """One of our models, at a size of about two million parameters."""

    name: str
    width: int
    multiple: int = 1  # pictures are padded to multiples of this before they come in
    options: dict[str, Any] = {}  # noqa: RUF012 (a NamedTuple's default, never changed)


NETWORKS = (
    Network("unet", 16, multiple=16),
    Network("segnet", 32),
    Network("fcn8s", 16, options={"dropout": 0.0}),  # whose random bits couldn't be compared
)


class Situation(NamedTuple):
    """How much comes in at a time, and how many threads work on it (None: as many as the command was given)."""

    name: str
    batch: int
    size: tuple[int, int]
    threads: int | None = None


SITUATIONS = (
    Situation("batch 8, 128 x 128", 8, (128, 128)),
    Situation("batch 1, 128 x 128", 1, (128, 128)),
    Situation("batch 8, 128 x 128, 1 thread", 8, (128, 128), threads=1),
    Situation("batch 8, 97 x 131", 8, (97, 131)),
)


def at_scale(
    networks: tuple[Network, ...], situations: tuple[Situation, ...], scale: str
) -> tuple[tuple[Network, ...], tuple[Situation, ...]]:
    """Return both as they are (``full``), or narrow and small (``quick``), to see whether the tool works."""
    if scale == "full":
        return networks, situations
    small = {8: 2, 1: 1}
    return (
        tuple(network._replace(width=4) for network in networks),
        tuple(s._replace(batch=small[s.batch], size=(s.size[0] // 2, s.size[1] // 2)) for s in situations),
    )


class Task(NamedTuple):
    """A network with weights, and what it shall learn."""

    network: Network
    state: dict[str, Array]
    images: Array  # (N, 3, H, W)
    labels: Array  # (N, H, W)

    @property
    def parameters(self) -> int:
        """How many weights are learned."""
        return self.model().parameter_count()

    def model(self) -> nn.Module:
        """Build our model with these weights, on the backend in use."""
        name, width, _, options = self.network
        model = models.build(
            name, classes=CLASSES, width=width, dtype=self.images.dtype, initialise=False, **options
        )
        model.load_state_dict(self.state)
        return model

    def as_float64(self) -> "Task":
        """Return the same numbers in float64."""
        state = {name: array.astype(np.float64) for name, array in self.state.items()}
        return self._replace(state=state, images=self.images.astype(np.float64))


def task(network: Network, batch: int, size: tuple[int, int], seed: int = 0) -> Task:
    """Draw weights, pictures and labels; the same for the same seed."""
    rng = np.random.default_rng(seed)
    model = models.build(network.name, classes=CLASSES, width=network.width, seed=seed, **network.options)
    # Some layers begin with zeros, behind which no gradient arrives: a little noise lets every weight take part.
    state = {
        name: (array + 0.02 * rng.standard_normal(array.shape)).astype(np.float32)
        for name, array in model.state_dict().items()
    }
    H, W = (-(-n // network.multiple) * network.multiple for n in size)
    images = rng.standard_normal((batch, CHANNELS, H, W), dtype=np.float32)
    return Task(network, state, images, rng.integers(0, CLASSES, (batch, H, W)))
