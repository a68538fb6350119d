"""Pictures and labels before they reach a network: synthetic sets, folders, augmentation, batches, weight maps.

A picture is (H, W) or (H, W, C) and its label map (H, W), both NumPy arrays, as image files hold them. The axes
become (N, C, H, W) only when a batch is put together.

>>> pictures = open_dataset("shapes", "train")
>>> normalisation = measure_normalisation(pictures)
>>> loader = Loader(pictures, batch=4, augmentation=augment.build("flip+scale"), normalisation=normalisation)
>>> loader.batch(0).images.shape
(4, 3, 96, 96)
"""

from minisegnet.data import augment
from minisegnet.data.border_weight import border_weight, squared_distance
from minisegnet.data.cache import Cached
from minisegnet.data.elastic import elastic_deform, elastic_field, warp
from minisegnet.data.folder import Folder
from minisegnet.data.layouts import find_layout
from minisegnet.data.loader import Batch, Loader
from minisegnet.data.palettes import default_palette, voc_palette
from minisegnet.data.reading import read_image, read_mask, write_mask
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.sources import open_dataset, split_names
from minisegnet.data.statistics import Normalisation, class_weights, count_labels, measure_normalisation
from minisegnet.data.synthetic import Synthetic

__all__ = [
    "Batch",
    "Cached",
    "Dataset",
    "Folder",
    "Loader",
    "Normalisation",
    "Sample",
    "Synthetic",
    "augment",
    "border_weight",
    "class_weights",
    "count_labels",
    "default_palette",
    "elastic_deform",
    "elastic_field",
    "find_layout",
    "measure_normalisation",
    "open_dataset",
    "read_image",
    "read_mask",
    "split_names",
    "squared_distance",
    "voc_palette",
    "warp",
    "write_mask",
]
