"""minisegnet: image segmentation from the arithmetic up.

``ops`` holds the hand-written kernels (arrays in, arrays out), ``functional`` the same functions on the tape, ``nn``
the layers and ``models`` the networks made of them. ``testing`` has the gradient checks, ``sizes`` the integer
arithmetic.
"""

from minisegnet import functional, models, nn, ops
from minisegnet.autograd import Tensor, no_grad
from minisegnet.ops import use_backend

__version__ = "0.1.0"

__all__ = ["Tensor", "__version__", "functional", "models", "nn", "no_grad", "ops", "use_backend"]
