"""What all models ask of their input."""

from minisegnet.autograd import Tensor


def check_pictures(x: Tensor, in_channels: int) -> None:
    """Refuse what is no batch of pictures with so many channels."""
    if x.ndim != 4 or x.shape[1] != in_channels:
        raise ValueError(f"x has shape {x.shape}; expected pictures of shape (N, {in_channels}, H, W)")
