"""Make golden/models/segnet.npz: SegNet, SegNet-Basic and DeconvNet written in PyTorch, and what they compute.

    python tests/golden/make_segnet.py

The twins below have the attribute names of our models, so that a state goes from one to the other as it is. Each
case is tiny and float64, in training (BatchNorm uses and moves its statistics), with odd sizes: the inputs are
picture, labels and all weights; expected are scores, the loss (mean cross-entropy), the gradient of every weight, and
the running statistics afterwards. ``store.py`` describes the layout.
"""

from itertools import pairwise

import numpy as np
from store import FOLDER, Cases, numbers

VERSION = "2.13.0"

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    raise SystemExit(f"make_segnet.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_segnet.py needs torch=={VERSION}, but torch {torch.__version__} is installed")


def unit(layer, before, after, kernel_size, padding, norm="batch", relu=True):
    """Make a layer, then BatchNorm, then ReLU."""
    modules = [layer(before, after, kernel_size, padding=padding, bias=norm is None)]
    return modules + [nn.BatchNorm2d(after)] * (norm == "batch") + [nn.ReLU()] * relu


def level(layer, channels, kernel_size=3, norm="batch", relu=True):
    """Make a chain of units through a list of channels."""
    modules = []
    for before, after in pairwise(channels):
        modules += unit(layer, before, after, kernel_size, kernel_size // 2, norm, relu)
    return nn.Sequential(*modules)


class Twin(nn.Module):
    """What the three have in common: pool and remember, then unpool in the opposite order."""

    def between(self, x):
        """Do what happens below the last pooling: nothing, in SegNet."""
        return x

    def forward(self, x):
        """Give the scores."""
        remembered = []
        for encode in self.encoder:
            x = encode(x)
            size = x.shape[2:]
            x, indices = F.max_pool2d(x, 2, return_indices=True)
            remembered.append((indices, size))
        x = self.between(x)
        for decode in self.decoder:
            indices, size = remembered.pop()
            x = F.max_unpool2d(x, indices, 2, output_size=size)
            x = decode(x)
        return self.head(x)


class SegNet(Twin):
    """A SegNet of two levels, with two and one convolution."""

    def __init__(self, in_channels, classes, width, norm):
        super().__init__()
        w = width
        self.encoder = nn.ModuleList(
            [level(nn.Conv2d, [in_channels, w, w], norm=norm), level(nn.Conv2d, [w, 2 * w], norm=norm)]
        )
        self.decoder = nn.ModuleList(
            [level(nn.Conv2d, [2 * w, w], norm=norm), level(nn.Conv2d, [w, w, w], norm=norm)]
        )
        self.head = nn.Conv2d(w, classes, 1)


class SegNetBasic(Twin):
    """A SegNet-Basic of two levels."""

    def __init__(self, in_channels, classes, width):
        super().__init__()
        self.encoder = nn.ModuleList(
            [level(nn.Conv2d, [in_channels, width], 7), level(nn.Conv2d, [width, width], 7)]
        )
        self.decoder = nn.ModuleList(level(nn.Conv2d, [width, width], 7, relu=False) for _ in range(2))
        self.head = nn.Conv2d(width, classes, 1)


class DeconvNet(Twin):
    """A DeconvNet of two levels, with one and two convolutions, and a waist of 3 x 3."""

    def __init__(self, in_channels, classes, width, waist, waist_width):
        super().__init__()
        w = width
        self.encoder = nn.ModuleList(
            [level(nn.Conv2d, [in_channels, w]), level(nn.Conv2d, [w, 2 * w, 2 * w])]
        )
        self.fc6 = nn.Sequential(*unit(nn.Conv2d, 2 * w, waist_width, waist, 0))
        self.fc7 = nn.Sequential(*unit(nn.Conv2d, waist_width, waist_width, 1, 0))
        self.fc6_transposed = nn.Sequential(*unit(nn.ConvTranspose2d, waist_width, 2 * w, waist, 0))
        self.decoder = nn.ModuleList(
            [level(nn.ConvTranspose2d, [2 * w, 2 * w, w]), level(nn.ConvTranspose2d, [w, w])]
        )
        self.head = nn.Conv2d(w, classes, 1)

    def between(self, x):
        """Go through the waist."""
        return self.fc6_transposed(self.fc7(self.fc6(x)))


def add(cases, name, options, twin, size, seed):
    """Draw weights and a picture, run the twin forward and backward, and note it all."""
    rng = np.random.default_rng(seed)
    twin = twin.double()
    state = {}
    for key, old in twin.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        state[key] = numbers(rng, *old.shape) * (1.0 if old.ndim == 1 else 0.5)
        if key.endswith("running_var"):
            state[key] = np.abs(state[key]) + 0.5
    twin.load_state_dict({key: torch.tensor(a) for key, a in state.items()}, strict=False)
    x, target = rng.normal(size=(2, 2, *size)), rng.integers(0, 3, (2, *size))
    scores = twin(torch.tensor(x))
    loss = F.cross_entropy(scores, torch.tensor(target))
    loss.backward()
    expected = {"scores": scores.detach().numpy(), "loss": loss.detach().numpy()}
    expected |= {f"d {key}": parameter.grad.numpy() for key, parameter in twin.named_parameters()}
    expected |= {f"new {key}": a.numpy() for key, a in twin.named_buffers() if a.dtype == torch.float64}
    cases.add(name, options, {"x": x, "target": target} | state, expected)


if __name__ == "__main__":
    cases = Cases()
    add(cases, "segnet", {"width": 2, "convolutions": [2, 1]}, SegNet(2, 3, 2, "batch"), (9, 11), 1)
    add(cases, "segnet", {"width": 2, "convolutions": [2, 1], "norm": None}, SegNet(2, 3, 2, None), (6, 7), 2)
    add(cases, "segnet-basic", {"width": 2, "levels": 2}, SegNetBasic(2, 3, 2), (7, 9), 3)
    options = {"width": 2, "convolutions": [1, 2], "waist": 3, "waist_width": 3}
    add(cases, "deconvnet", options, DeconvNet(2, 3, 2, 3, 3), (18, 15), 4)
    (FOLDER / "models").mkdir(exist_ok=True)
    cases.write("models/segnet.npz", {"made by": "make_segnet.py", "torch": torch.__version__})
