"""From a model's modules to the layers that the size arithmetic of ``sizes`` understands."""

from minisegnet import nn
from minisegnet.sizes import Layer


def layers_of(*modules: nn.Module) -> list[Layer]:
    """List the convolutions, transposed convolutions and max poolings of a chain; all else keeps size and place.

    A ``Sequential`` stands for the modules in it.

    >>> layers = layers_of(nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()), nn.MaxPool2d(2))
    >>> len(layers), layers[0]
    (2, Layer(kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), transposed=False))
    """
    layers = []
    for module in modules:
        if isinstance(module, nn.Sequential):
            layers += layers_of(*module)
        elif isinstance(module, nn.MaxPool2d):
            layers.append(Layer(module.kernel_size, module.stride, module.padding, module.dilation))
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kernel_size, transposed = module.weight.shape[2:], isinstance(module, nn.ConvTranspose2d)
            layers.append(Layer(kernel_size, module.stride, module.padding, module.dilation, transposed))
    return layers
