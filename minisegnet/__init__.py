"""minisegnet: image segmentation from the arithmetic up.

``ops`` holds the hand-written kernels (arrays in, arrays out), ``functional`` the same functions on the tape, ``nn``
the layers and ``models`` the networks made of them. ``training`` trains them, and ``load(run).predict(image)`` uses
what was trained. ``testing`` has the gradient checks, ``sizes`` the integer arithmetic.
"""

from typing import TYPE_CHECKING, Any

from minisegnet import functional, models, nn, ops
from minisegnet.autograd import Tensor, no_grad
from minisegnet.ops import use_backend

if TYPE_CHECKING:
    from minisegnet.predictor import load

__version__ = "0.1.0"

__all__ = ["Tensor", "__version__", "functional", "load", "models", "nn", "no_grad", "ops", "use_backend"]


def __getattr__(name: str) -> Any:
    if name == "load":  # imported when it is first asked for: it takes a quarter of the time of all the rest
        from minisegnet.predictor import load

        return load
    raise AttributeError(f"module 'minisegnet' has no attribute {name!r}")
