"""From minisegnet into other programs: any model as an ONNX file.

ONNX is a file format for trained networks: a graph of operators and the weights. Many programs run it (ONNX Runtime,
OpenVINO, TensorRT, browsers), none of which needs Python, let alone minisegnet.

>>> from minisegnet import models
>>> model = models.build("unet", classes=2, width=2, depth=1)
>>> network = rebuild(model.eval(), (1, 3, 64, 64))
>>> [node.operator for node in network.graph.nodes][:3], network.sizes
(['Shape', 'Slice', 'Sub'], 'height and width: multiples of 2, at least 2')
"""

from minisegnet.export.model_file import OPSET, to_onnx
from minisegnet.export.rebuild import Network, rebuild
from minisegnet.export.verification import Verification, verify

__all__ = ["OPSET", "Network", "Verification", "rebuild", "to_onnx", "verify"]
