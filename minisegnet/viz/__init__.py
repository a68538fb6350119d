"""Pictures of what goes in, what comes out and how training went.

Everything here returns either a picture, an (H, W, 3) uint8 array, or a matplotlib ``Figure`` that no window and no
global state knows of; ``save`` writes both. Equal pictures are equal bytes. Notebooks show a figure that stands on
the last line of a cell.
"""

from minisegnet.data.palettes import default_palette, voc_palette
from minisegnet.viz.colours import colourise, to_rgb
from minisegnet.viz.comparison import comparison
from minisegnet.viz.confusion import confusion
from minisegnet.viz.curves import curves
from minisegnet.viz.features import feature_maps
from minisegnet.viz.legend import legend, overlay_with_legend
from minisegnet.viz.lesson import Lesson
from minisegnet.viz.overlay import error_map, overlay
from minisegnet.viz.save import save

__all__ = [
    "Lesson",
    "colourise",
    "comparison",
    "confusion",
    "curves",
    "default_palette",
    "error_map",
    "feature_maps",
    "legend",
    "overlay",
    "overlay_with_legend",
    "save",
    "to_rgb",
    "voc_palette",
]
