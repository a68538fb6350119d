"""Our networks as a user of PyTorch would write them, with our names, so that our weights fit. Needs PyTorch.

ReLU works in place, as is usual there: it saves PyTorch time and memory.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


def convolutions(channels):
    """Chain (3x3 convolution, batch normalisation, ReLU) from ``channels[0]`` to ``channels[1]`` and so on."""
    layers = []
    for before, after in pairwise(channels):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """``minisegnet.models.unet.UNet`` with same padding, for sizes that are multiples of ``2**depth``."""

    def __init__(self, in_channels, classes, width, depth=4):
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]
        before = [in_channels, *channels]
        self.encoder = nn.ModuleList(
            convolutions([before[level], channels[level], channels[level]]) for level in range(depth)
        )
        self.pool = nn.MaxPool2d(2)
        self.bottom = convolutions([channels[-2], channels[-1], channels[-1]])
        self.decoder = nn.ModuleList(UpAndAcross(channels[level]) for level in reversed(range(depth)))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        """(N, in_channels, H, W) to (N, classes, H, W)."""
        skips = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for level in self.decoder:
            x = level(skips.pop(), x)
        return self.head(x)


class UpAndAcross(nn.Module):
    """One level of U-Net's way up."""

    def __init__(self, channels):
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.convolutions = convolutions([2 * channels, channels, channels])

    def forward(self, skip, x):
        """(N, C, H, W) and (N, 2C, H/2, W/2) to (N, C, H, W)."""
        return self.convolutions(torch.cat([skip, self.up(x)], 1))


class SegNet(nn.Module):
    """``minisegnet.models.segnet.SegNet`` with four levels of two convolutions."""

    def __init__(self, in_channels, classes, width):
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        above = [width, *widths]
        self.encoder = nn.ModuleList(
            convolutions([above[level] if level else in_channels, widths[level], widths[level]])
            for level in range(4)
        )
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.decoder = nn.ModuleList(
            convolutions([widths[level], widths[level], above[level]]) for level in reversed(range(4))
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        """(N, in_channels, H, W) to (N, classes, H, W)."""
        remembered = []
        for level in self.encoder:
            x = level(x)
            size = x.shape[2:]
            x, indices = self.pool(x)
            remembered.append((indices, size))
        for level in self.decoder:
            indices, size = remembered.pop()
            x = level(self.unpool(x, indices, output_size=size))
        return self.head(x)


class Backbone(nn.Module):
    """VGG16 with batch normalisation; returns the maps after each pooling."""

    def __init__(self, in_channels, width):
        super().__init__()
        layers, before = [], in_channels
        for level, count in enumerate((2, 2, 3, 3, 3)):
            after = width * min(2**level, 8)
            layers += [*convolutions([before] + [after] * count), nn.MaxPool2d(2, ceil_mode=True)]
            before = after
        self.features = nn.Sequential(*layers)

    def forward(self, x):
        """(N, C, H, W) to five maps, the largest first."""
        maps = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
        return maps


class FCN8s(nn.Module):
    """``minisegnet.models.fcn.FCN8s`` with same padding, without dropout."""

    def __init__(self, in_channels, classes, width):
        super().__init__()
        wide = 8 * width
        self.backbone = Backbone(in_channels, width)
        self.fc6, self.fc7 = nn.Conv2d(wide, wide, 7, padding=3), nn.Conv2d(wide, wide, 1)
        self.score_fr = nn.Conv2d(wide, classes, 1)
        self.upscore2 = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
        self.score_pool4 = nn.Conv2d(wide, classes, 1)
        self.upscore_pool4 = nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
        self.score_pool3 = nn.Conv2d(4 * width, classes, 1)
        self.upscore = FixedUpsampling(classes)

    def forward(self, x):
        """(N, in_channels, H, W) to (N, classes, H, W)."""
        size = x.shape[2:]
        h, w = (-n % 32 // 2 for n in size)
        if h or w:
            x = functional.pad(x, (w, w, h, h))
        _, _, pool3, pool4, pool5 = self.backbone(x)
        y = torch.relu_(self.fc7(torch.relu_(self.fc6(pool5))))
        scores = self.upscore2(self.score_fr(y))
        scores = scores + cropped(self.score_pool4(pool4), scores.shape[2:])
        scores = self.upscore_pool4(scores)
        scores = scores + cropped(self.score_pool3(pool3), scores.shape[2:])
        return cropped(self.upscore(scores), size)


class FixedUpsampling(nn.Module):
    """Enlarge each class by itself, 8 times, with weights that aren't learned."""

    def __init__(self, classes):
        super().__init__()
        self.register_buffer("weight", torch.empty(classes, 1, 16, 16))

    def forward(self, x):
        """(N, classes, h, w) to (N, classes, 8h, 8w)."""
        return functional.conv_transpose2d(x, self.weight, stride=8, padding=4, groups=x.shape[1])


def cropped(x, size):
    """Cut out the middle."""
    (H, W), (h, w) = x.shape[2:], size
    top, left = (H - h) // 2, (W - w) // 2
    return x[:, :, top : top + h, left : left + w]


TWINS = {"unet": UNet, "segnet": SegNet, "fcn8s": FCN8s}


def build(name, state, in_channels, classes, width):
    """Build the twin of one of our models and give it these weights (arrays by name)."""
    twin = TWINS[name](in_channels, classes, width)
    dtype = next(torch.from_numpy(array).dtype for array in state.values())
    missing, unknown = twin.to(dtype).load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in state.items()}, strict=False
    )
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        raise ValueError(f"the twin of {name} has {missing} without a weight, and no place for {unknown}")
    return twin
