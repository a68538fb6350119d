"""Pictures that are drawn on the spot, with a label for every pixel and a number for every object.

No files, no downloads: a sample is a pure function of a few integers. So an exercise, a test or a benchmark can have
as many pictures as it likes, of any size, and the same ones tomorrow.
"""

from minisegnet.data.synthetic.cells import cells
from minisegnet.data.synthetic.dataset import KINDS, SPLITS, Synthetic
from minisegnet.data.synthetic.shapes import shapes
from minisegnet.data.synthetic.streets import streets

__all__ = ["KINDS", "SPLITS", "Synthetic", "cells", "shapes", "streets"]
