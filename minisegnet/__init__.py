"""minisegnet: image segmentation from the arithmetic up."""

__version__ = "0.1.0"
