"""Putting arrays together, adding, cropping and padding them: NumPy's code serves here as it is.

These ops move memory and compute next to nothing. NumPy copies whole rows at the speed of the memory;
compiling the reference's loops would give more text and the same time.
"""

from minisegnet.backends.numpy.arrange import add as add
from minisegnet.backends.numpy.arrange import add_backward as add_backward
from minisegnet.backends.numpy.arrange import concat as concat
from minisegnet.backends.numpy.arrange import concat_backward as concat_backward
from minisegnet.backends.numpy.arrange import crop2d as crop2d
from minisegnet.backends.numpy.arrange import crop2d_backward as crop2d_backward
from minisegnet.backends.numpy.arrange import pad2d as pad2d
from minisegnet.backends.numpy.arrange import pad2d_backward as pad2d_backward
