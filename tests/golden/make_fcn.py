"""Make golden/models/fcn.npz: FCN-32s, -16s and -8s and the patch classifier in PyTorch, and what they compute.

    python tests/golden/make_fcn.py

The twins below have the attribute names of our models, so that a state goes from one to the other as it is. Each
case is tiny and float64: the inputs are picture, labels and all weights; expected are scores (every third row and
column, to keep the file small), the loss (mean cross-entropy), the gradient of every weight, and the running
statistics afterwards (BatchNorm is in training, dropout is off). ``store.py`` describes the layout.

The twin with the paper's padding pads 100 in its first convolution and crops at the places that the authors' published
network computes: 5 and 9 for the skips; 19, 27 and 31 at the end. Ours reaches the same by central crops.
"""

import math

import numpy as np
from store import FOLDER, Cases, numbers

VERSION = "2.13.0"

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    raise SystemExit(f"make_fcn.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_fcn.py needs torch=={VERSION}, but torch {torch.__version__} is installed")


class VGG(nn.Module):
    """Five levels; the first convolution pads by ``first``."""

    def __init__(self, in_channels, width, counts, norm, first):
        super().__init__()
        layers, before = [], in_channels
        for level, count in enumerate(counts):
            after = width * min(2**level, 8)
            for _ in range(count):
                layers.append(nn.Conv2d(before, after, 3, padding=1 if layers else first, bias=not norm))
                layers += [nn.BatchNorm2d(after)] if norm else []
                layers.append(nn.ReLU())
                before = after
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        """Give what the last three poolings give."""
        pools = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        return pools[2:]


class FCN(nn.Module):
    """FCN with 0, 1 or 2 skips."""

    def __init__(self, in_channels, classes, skips, width, fc_channels, convolutions, norm, padding):
        super().__init__()
        self.skips, self.paper = skips, padding == "paper"
        cut, factor = 0 if self.paper else 1, 32 // 2**skips
        self.backbone = VGG(in_channels, width, convolutions, norm, 100 if self.paper else 1)
        self.fc6 = nn.Conv2d(8 * width, fc_channels, 7, padding=0 if self.paper else 3)
        self.fc7 = nn.Conv2d(fc_channels, fc_channels, 1)
        self.score_fr = nn.Conv2d(fc_channels, classes, 1)
        if skips > 0:
            self.upscore2 = nn.ConvTranspose2d(classes, classes, 4, 2, padding=cut, bias=False)
            self.score_pool4 = nn.Conv2d(8 * width, classes, 1)
        if skips > 1:
            self.upscore_pool4 = nn.ConvTranspose2d(classes, classes, 4, 2, padding=cut, bias=False)
            self.score_pool3 = nn.Conv2d(4 * width, classes, 1)
        self.upscore = nn.ConvTranspose2d(
            classes, classes, 2 * factor, factor, padding=cut * factor // 2, groups=classes, bias=False
        )
        self.upscore.weight.requires_grad = False

    def forward(self, x):
        """Give the scores."""
        H, W = x.shape[2:]
        top, left = 0, 0
        if not self.paper:
            top, left = -H % 32 // 2, -W % 32 // 2
            x = F.pad(x, (left, left, top, top))
        pool3, pool4, pool5 = self.backbone(x)
        y = self.score_fr(F.relu(self.fc7(F.relu(self.fc6(pool5)))))
        if self.skips > 0:
            y = self.upscore2(y)
            y = y + self.window(self.score_pool4(pool4), y, 5)
        if self.skips > 1:
            y = self.upscore_pool4(y)
            y = y + self.window(self.score_pool3(pool3), y, 9)
        y = self.upscore(y)
        if self.paper:
            top = left = (19, 27, 31)[self.skips]
        return y[:, :, top : top + H, left : left + W]

    def window(self, scores, like, start):
        """Cut out the part that lies under the enlarged scores."""
        start = start if self.paper else 0
        return scores[:, :, start : start + like.shape[2], start : start + like.shape[3]]


class Patch(nn.Module):
    """The patch classifier; it classifies whole patches only."""

    def __init__(self, in_channels, classes, width, patch):
        super().__init__()
        w = width
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, w, 3),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(w, 2 * w, 3),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.fc1 = nn.Linear(2 * w * ((patch - 9) // 4) ** 2, 8 * w)
        self.fc2 = nn.Linear(8 * w, classes)
        self.patch = patch

    def forward(self, x):
        """Give the scores of all patches of a picture, 4 pixels apart."""
        k = self.patch
        rows, columns = range(0, x.shape[2] - k + 1, 4), range(0, x.shape[3] - k + 1, 4)
        scores = [
            self.fc2(F.relu(self.fc1(self.features(x[:, :, i : i + k, j : j + k]).flatten(1))))
            for i in rows
            for j in columns
        ]
        return torch.stack(scores, 2).reshape(x.shape[0], -1, len(rows), len(columns))


def bilinear(K):
    """Give the weights of linear interpolation for an even kernel."""
    line = 1 - np.abs(np.arange(K) - (K - 1) / 2) / (K / 2)
    return np.outer(line, line)


def add(cases, name, options, twin, size, seed):
    """Draw weights and a picture, run the twin forward and backward, and note it all."""
    rng = np.random.default_rng(seed)
    twin = twin.double()
    state = {}
    for key, old in twin.state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue
        scale = 1.0 if old.ndim == 1 else round(math.sqrt(2 / math.prod(old.shape[1:])), 2)
        state[key] = numbers(rng, *old.shape) * scale
        if key.endswith("running_var"):
            state[key] = np.abs(state[key]) + 0.5
        if key == "upscore.weight":
            state[key] = np.broadcast_to(bilinear(old.shape[2]), old.shape).copy()
    twin.load_state_dict({key: torch.tensor(a) for key, a in state.items()}, strict=False)
    x = numbers(rng, 1, 2, *size)
    scores = twin(torch.tensor(x))
    target = rng.integers(0, 3, (1, *scores.shape[2:]))
    loss = F.cross_entropy(scores, torch.tensor(target))
    loss.backward()
    expected = {"scores": scores.detach().numpy()[:, :, ::3, ::3], "loss": loss.detach().numpy()}
    expected |= {f"d {key}": p.grad.numpy() for key, p in twin.named_parameters() if p.requires_grad}
    assert all(p.grad.any() for p in twin.parameters() if p.requires_grad), f"{name}: take another seed"
    expected |= {f"new {key}": a.numpy() for key, a in twin.named_buffers() if a.dtype == torch.float64}
    cases.add(name, options, {"x": x, "target": target} | state, expected)


if __name__ == "__main__":
    cases = Cases()
    # Seeds for which no weight's gradient is all zero: so few channels die easily.
    for seed, skips, padding, norm, size in [
        (1, 0, "paper", None, (26, 25)),
        (3, 1, "paper", None, (25, 26)),
        (4, 2, "paper", None, (26, 26)),
        (5, 2, "same", "batch", (37, 39)),
    ]:
        options = {"width": 1, "fc_channels": 2, "convolutions": [1, 2, 1, 1, 1], "norm": norm}
        twin = FCN(2, 3, skips, **options, padding=padding)
        add(cases, ("fcn32s", "fcn16s", "fcn8s")[skips], options | {"padding": padding}, twin, size, seed)
    add(cases, "patch", {"width": 1, "patch": 13}, Patch(2, 3, 1, 13), (18, 21), 0)
    (FOLDER / "models").mkdir(exist_ok=True)
    cases.write("models/fcn.npz", {"made by": "make_fcn.py", "torch": torch.__version__})
