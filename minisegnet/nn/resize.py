"""Upsampling by interpolation."""

from minisegnet import functional
from minisegnet.autograd import Tensor
from minisegnet.nn.module import Module
from minisegnet.sizes import IntOrPair, as_pair


class Upsample(Module):
    """Make maps ``scale_factor`` times larger, or of a given ``size``, by bilinear or nearest interpolation."""

    def __init__(
        self,
        *,
        scale_factor: IntOrPair | None = None,
        size: IntOrPair | None = None,
        mode: str = "bilinear",
        align_corners: bool = False,
    ) -> None:
        if (scale_factor is None) == (size is None):
            raise ValueError("Upsample needs scale_factor or size, and not both")
        if mode not in ("bilinear", "nearest"):
            raise ValueError(f"mode is {mode!r}; expected 'bilinear' or 'nearest'")
        if align_corners and mode != "bilinear":
            raise ValueError("align_corners goes with mode='bilinear' only; leave it out")
        self.scale_factor = as_pair(1 if scale_factor is None else scale_factor, "scale_factor", 1)
        self.size = None if size is None else as_pair(size, "size", 1)
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        size = self.size or (x.shape[2] * self.scale_factor[0], x.shape[3] * self.scale_factor[1])
        if self.mode == "nearest":
            return functional.resize_nearest(x, size)
        return functional.resize_bilinear(x, size, align_corners=self.align_corners)
