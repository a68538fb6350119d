"""Our models, computed by PyTorch: the very same code and weights, with PyTorch's functions in the place of ours.

A layer here is parameters and one call into ``minisegnet.functional``. Inside ``functions_of_torch`` those are
PyTorch's, and a parameter stands for the tensor that has its numbers. So nobody has to write a model twice, and what is
compared is the same network to the last layer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minisegnet import functional, nn, ops


class AsTorch:
    """A model of ours as a function of PyTorch's tensors.

    Parameters
    ----------
    torch
        The module.
    model
        Built on any backend.
    device
        Where the tensors shall lie, such as ``"cuda"``.
    channels_last
        Whether maps lie in memory with their channels last.
    """

    def __init__(self, torch: Any, model: nn.Module, device: str, *, channels_last: bool = False) -> None:
        self.torch, self.model, self.device = torch, model, device
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.tensors: dict[int, Any] = {}
        for _, parameter in model.named_parameters():
            self.tensors[id(parameter)] = self.tensor(ops.to_numpy(parameter.data)).requires_grad_()
        for _, buffer in model.named_buffers():
            self.tensors[id(buffer)] = self.tensor(ops.to_numpy(buffer.data))

    def tensor(self, array: Any) -> Any:
        """Copy an array to the device."""
        made = self.torch.from_numpy(array.copy()).to(self.device)
        return made.to(memory_format=self.layout) if made.ndim == 4 else made

    def parameters(self) -> list[Any]:
        """Return the tensors that are learned, in the order of the model's."""
        return [self.tensors[id(parameter)] for _, parameter in self.model.named_parameters()]

    def __call__(self, images: Any) -> Any:
        """Return the scores, as a tensor of PyTorch."""
        with functions_of_torch(self.torch, self.tensors):
            return self.model(images)


@contextmanager
def functions_of_torch(torch: Any, tensors: dict[int, Any]) -> Iterator[None]:
    """Put PyTorch's functions in the place of ours inside the block; those that no model here uses raise."""
    ours = {
        name: value for name, value in vars(functional).items() if callable(value) and name in ops.__all__
    }
    F = torch.nn.functional

    def known(value: Any) -> Any:
        return tensors.get(id(value), value)

    def batch_norm(
        x: Any, gamma: Any, beta: Any, mean: Any, var: Any, *, training: bool, momentum: float, eps: float
    ) -> Any:
        y = F.batch_norm(x, known(mean), known(var), known(gamma), known(beta), training, momentum, eps)
        return y, None, None, None, None

    def crop2d(x: Any, size: Any) -> Any:
        (H, W), (h, w) = x.shape[2:], size
        top, left = (H - h) // 2, (W - w) // 2
        return x[:, :, top : top + h, left : left + w]

    def max_pool2d(x: Any, kernel_size: Any, **options: Any) -> Any:
        return F.max_pool2d(x, kernel_size, **options, return_indices=True)

    def max_unpool2d(x: Any, indices: Any, output_size: Any) -> Any:
        N, C = x.shape[:2]
        plane = x.new_zeros((N, C, output_size[0] * output_size[1]))
        return plane.scatter(2, indices.flatten(2), x.flatten(2)).reshape(N, C, *output_size)

    def pad2d(x: Any, padding: Any, *, mode: str = "zero") -> Any:
        h, w = (padding, padding) if isinstance(padding, int) else padding
        return F.pad(x, (w, w, h, h), mode="constant" if mode == "zero" else mode)

    def resize_bilinear(x: Any, size: Any, *, align_corners: bool = False) -> Any:
        return F.interpolate(x, size, mode="bilinear", align_corners=align_corners)

    theirs: dict[str, Any] = {
        "conv2d": lambda x, w, b=None, **o: F.conv2d(x, known(w), known(b), **o),
        "conv_transpose2d": lambda x, w, b=None, **o: F.conv_transpose2d(x, known(w), known(b), **o),
        "linear": lambda x, w, b=None: F.linear(x, known(w), known(b)),
        "relu": F.relu,
        "add": torch.add,
        "concat": lambda arrays, axis=1: torch.cat(list(arrays), axis),
        "batch_norm": batch_norm,
        "crop2d": crop2d,
        "dropout": lambda x, p, key: (F.dropout(x, p), None),  # other bits than ours
        "max_pool2d": max_pool2d,
        "max_unpool2d": max_unpool2d,
        "pad2d": pad2d,
        "resize_bilinear": resize_bilinear,
    }
    try:
        for name in ours:
            setattr(functional, name, theirs.get(name, _unknown(name)))
        yield
    finally:
        for name, value in ours.items():
            setattr(functional, name, value)


def _unknown(name: str) -> Any:
    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(f"{name} has no counterpart of PyTorch here; write one in as_torch.py")

    return refuse
