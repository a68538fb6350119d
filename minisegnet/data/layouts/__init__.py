"""Layouts: how data sets lie on the disk, one file for each; docs/layouts.md shows them as trees."""

from minisegnet.data.layouts.find import find_layout
from minisegnet.data.layouts.layout import Entry, Layout, MaskFacts, MaskSource

__all__ = ["Entry", "Layout", "MaskFacts", "MaskSource", "find_layout"]
