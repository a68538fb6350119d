"""From a model's modules to the layers that the size arithmetic of ``sizes`` understands."""

from collections.abc import Iterable

from minisegnet import nn
from minisegnet.sizes import Layer


def layers_of(modules: Iterable[nn.Module]) -> list[Layer]:
    """List the convolutions, transposed convolutions and max poolings of a chain; all else keeps size and place.

    >>> layers_of([nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)])[0]
    Layer(kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), transposed=False)
    """
    layers = []
    for module in modules:
        if isinstance(module, nn.MaxPool2d):
            size, transposed = module.kernel_size, False
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            size, transposed = module.weight.shape[2:], isinstance(module, nn.ConvTranspose2d)
        else:
            continue
        layers.append(Layer(size, module.stride, module.padding, module.dilation, transposed))
    return layers
