"""Pictures and labels before they reach a network: augmentation and weight maps.

A picture is (H, W) or (H, W, C) and its label map (H, W), both NumPy arrays, as image files hold them. The axes
become (N, C, H, W) only when a batch is put together.
"""

from minisegnet.data.border_weight import border_weight, squared_distance
from minisegnet.data.elastic import elastic_deform, elastic_field, warp

__all__ = ["border_weight", "elastic_deform", "elastic_field", "squared_distance", "warp"]
