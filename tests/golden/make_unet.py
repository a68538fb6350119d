"""Make models/unet.npz: what a U-Net written in PyTorch computes from the same weights, and how it learns.

Run it as ``python tests/golden/make_unet.py`` with ``torch==2.13.0``. Everything is float64; ``store.py`` describes the
layout. The initial state is drawn by NumPy, with two decimals. There are two kinds of cases:

- ``unet``: one forward and backward of a tiny network in training mode, from ``x``, ``target`` and ``state.*``: the
  scores ``y``, the ``loss``, the gradients of the picture (``grad.x``) and of all parameters (``grad.*``), and the
  running statistics afterwards (``after.*``).
- ``unet_training``: the ``losses`` of eight steps of an optimiser on the batches of ``x`` and ``target`` in turn, and
  the head's weights and the first running mean at the end (``after.*``).
"""

import numpy as np
from store import FOLDER, Cases

VERSION = "2.13.0"

try:
    import torch
    from torch import nn
except ImportError as error:
    raise SystemExit(f"make_unet.py needs torch=={VERSION}: pip install torch=={VERSION}") from error
if torch.__version__.split("+")[0] != VERSION:
    raise SystemExit(f"make_unet.py needs torch=={VERSION}, but torch {torch.__version__} is installed")

OPTIONS = {
    "same": {"in_channels": 3, "classes": 4, "width": 2, "depth": 2, "padding": "same"},
    "valid": {"in_channels": 1, "classes": 2, "width": 2, "depth": 2, "padding": "valid"},
    "train": {"in_channels": 3, "classes": 4, "width": 4, "depth": 2, "padding": "same"},
}
OPTIMISERS = {"SGD": {"lr": 0.1, "momentum": 0.9}, "Adam": {"lr": 0.01}}
SHAPES = {"same": (1, 3, 8, 12), "valid": (1, 1, 44, 48)}
STEPS, BATCHES = 8, 2


class UNet(nn.Module):
    """The network in PyTorch's own layers, with our attribute names."""

    def __init__(self, in_channels, classes, width, depth, padding):
        super().__init__()
        around, norm = int(padding == "same"), padding == "same"
        channels = [width * 2**level for level in range(depth + 1)]

        def twice(before, after):
            layers = []
            for c in (before, after):
                layers.append(nn.Conv2d(c, after, 3, padding=around, bias=not norm))
                layers += [nn.BatchNorm2d(after), nn.ReLU()] if norm else [nn.ReLU()]
            return nn.Sequential(*layers)

        self.encoder = nn.ModuleList(
            twice(a, b) for a, b in zip([in_channels, *channels], channels[:-1], strict=False)
        )
        self.bottom = twice(channels[-2], channels[-1])
        self.decoder = nn.ModuleList()
        for c in channels[-2::-1]:
            level = nn.Module()
            level.up = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
            level.convolutions = twice(2 * c, c)
            self.decoder.append(level)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.bottom(x)
        for level in self.decoder:
            x, skip = level.up(x), skips.pop()
            top, left = ((skip.shape[a] - x.shape[a]) // 2 for a in (2, 3))
            skip = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            x = level.convolutions(torch.cat([skip, x], 1))
        return self.head(x)


def build(case, rng):
    """Build a network with weights of two decimals, which compress well, and return it with its state."""
    model = UNet(**OPTIONS[case]).double()
    state = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if value.ndim == 4:
            fan_in = value[0].numel() if ".up." not in name else value.shape[0]
            value = rng.normal(size=value.shape) * (2 / fan_in) ** 0.5
        elif name.endswith("running_var") or (name.endswith("weight")):
            value = rng.uniform(0.5, 1.5, value.shape)
        else:
            value = rng.normal(size=value.shape) * 0.1
        state[name] = np.round(value, 2) + 0.0
    model.load_state_dict({name: torch.tensor(a) for name, a in state.items()}, strict=False)
    return model, {f"state.{name}": a for name, a in state.items()}


def once(case, rng):
    """Return what goes into one forward and backward, and what comes out."""
    model, inputs = build(case, rng)
    inputs["x"] = np.round(rng.normal(size=SHAPES[case]), 2) + 0.0
    x = torch.tensor(inputs["x"], requires_grad=True)
    y = model(x)
    inputs["target"] = rng.integers(0, OPTIONS[case]["classes"], (y.shape[0], *y.shape[2:]))
    loss = nn.functional.cross_entropy(y, torch.tensor(inputs["target"]))
    loss.backward()
    expected = {"y": y.detach().numpy(), "loss": loss.detach().numpy(), "grad.x": x.grad.numpy()}
    expected |= {f"grad.{name}": p.grad.numpy() for name, p in model.named_parameters()}
    expected |= {f"after.{name}": b.numpy() for name, b in model.named_buffers() if "running" in name}
    return inputs, expected


def train(optimiser, rng):
    """Return initial state and batches of a training run, the losses, and where they led."""
    model, inputs = build("train", rng)
    inputs["x"] = np.round(rng.normal(size=(BATCHES, 2, 3, 24, 32)), 1) + 0.0
    # Labels that can be learnt: the strongest channel, and where none is strong, class 3.
    inputs["target"] = np.where(inputs["x"].max(2) > 0.5, inputs["x"].argmax(2), 3)
    steps = getattr(torch.optim, optimiser)(model.parameters(), **OPTIMISERS[optimiser])
    losses = []
    for step in range(STEPS):
        x, target = (torch.tensor(inputs[name][step % BATCHES]) for name in ("x", "target"))
        steps.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        steps.step()
        losses.append(loss.item())
    print(optimiser, [round(value, 4) for value in losses])
    state = model.state_dict()
    after = {f"after.{name}": state[name].numpy() for name in ("head.weight", "encoder.0.1.running_mean")}
    return inputs, {"losses": np.array(losses)} | after


def main():
    """Make the file and say how large it is."""
    torch.use_deterministic_algorithms(True)
    cases = Cases()
    for case in SHAPES:
        cases.add("unet", OPTIONS[case], *once(case, np.random.default_rng(2015)))
    for name, options in OPTIMISERS.items():  # the same start and the same batches, which are kept once
        arrays = train(name, np.random.default_rng(1505))
        cases.add("unet_training", OPTIONS["train"], *arrays, optimiser=name, settings=options)
    (FOLDER / "models").mkdir(exist_ok=True)
    cases.write("models/unet.npz", {"torch": VERSION})


if __name__ == "__main__":
    main()
