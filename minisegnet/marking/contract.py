"""What a learner's functions are asked for: which ops a lesson has, what each takes and what it returns.

The parameters are read from the public ops themselves, so that there is one contract only.
"""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

from minisegnet import ops

# The ops that can be written after each lesson, in the order in which it comes to them.
LESSONS: dict[int, tuple[str, ...]] = {
    2: ("conv2d", "conv2d_backward"),
    3: ("linear", "linear_backward", "relu", "relu_backward", "conv2d_backward"),
    5: ("max_pool2d", "max_pool2d_backward", "max_unpool2d", "max_unpool2d_backward"),
    6: ("conv_transpose2d", "conv_transpose2d_backward"),
    7: ("resize_bilinear", "resize_bilinear_backward", "resize_nearest", "resize_nearest_backward"),
    8: (
        "softmax",
        "softmax_backward",
        "log_softmax",
        "log_softmax_backward",
        "softmax_cross_entropy",
        "softmax_cross_entropy_backward",
        "bce_with_logits",
        "bce_with_logits_backward",
    ),
    10: ("crop2d", "crop2d_backward", "add", "add_backward"),
    11: ("batch_norm", "batch_norm_backward"),
    12: ("concat", "concat_backward", "pad2d", "pad2d_backward"),
}

# What each op returns, by name. A star stands for a list of any length.
RESULTS: dict[str, tuple[str, ...]] = {
    "conv2d": ("y",),
    "conv2d_backward": ("dx", "dw", "db"),
    "conv2d_relu": ("y",),
    "conv2d_relu_backward": ("dx", "dw", "db"),
    "conv_transpose2d": ("y",),
    "conv_transpose2d_backward": ("dx", "dw", "db"),
    "max_pool2d": ("y", "indices"),
    "max_pool2d_backward": ("dx",),
    "max_unpool2d": ("y",),
    "max_unpool2d_backward": ("dx",),
    "avg_pool2d": ("y",),
    "avg_pool2d_backward": ("dx",),
    "global_avg_pool2d": ("y",),
    "global_avg_pool2d_backward": ("dx",),
    "adaptive_max_pool2d": ("y", "indices"),
    "adaptive_avg_pool2d": ("y",),
    "adaptive_avg_pool2d_backward": ("dx",),
    "resize_bilinear": ("y",),
    "resize_bilinear_backward": ("dx",),
    "resize_nearest": ("y",),
    "resize_nearest_backward": ("dx",),
    "roi_pool": ("y", "argmax"),
    "roi_pool_backward": ("dx",),
    "roi_align": ("y",),
    "roi_align_backward": ("dx",),
    "batch_norm": ("y", "mean", "inv_std", "running_mean", "running_var"),
    "batch_norm_backward": ("dx", "dgamma", "dbeta"),
    "batch_norm_relu": ("y", "mean", "inv_std", "running_mean", "running_var"),
    "batch_norm_relu_backward": ("dx", "dgamma", "dbeta"),
    "softmax_cross_entropy": ("loss", "probs"),
    "softmax_cross_entropy_backward": ("dlogits",),
    "bce_with_logits": ("loss",),
    "bce_with_logits_backward": ("dlogits",),
    "softmax": ("y",),
    "softmax_backward": ("dx",),
    "log_softmax": ("y",),
    "log_softmax_backward": ("dx",),
    "relu": ("y",),
    "relu_backward": ("dx",),
    "leaky_relu": ("y",),
    "leaky_relu_backward": ("dx",),
    "sigmoid": ("y",),
    "sigmoid_backward": ("dx",),
    "linear": ("y",),
    "linear_backward": ("dx", "dw", "db"),
    "concat": ("y",),
    "concat_backward": ("*parts",),
    "add": ("y",),
    "add_backward": ("da", "db"),
    "crop2d": ("y",),
    "crop2d_backward": ("dx",),
    "pad2d": ("y",),
    "pad2d_backward": ("dx",),
    "dropout_backward": ("dx",),
    "nms": ("kept",),
}

# Arguments that take an integer or an (h, w) pair.
PAIRS = {
    "stride",
    "padding",
    "dilation",
    "output_padding",
    "kernel_size",
    "size",
    "input_size",
    "output_size",
}


@dataclass(frozen=True)
class Contract:
    """What an op takes and returns.

    ``positional`` are the arguments before the star, ``options`` those after it; ``defaults`` has those of either
    kind that may be left out.
    """

    op: str
    positional: tuple[str, ...]
    options: tuple[str, ...]
    defaults: dict[str, Any]
    results: tuple[str, ...]

    def signature(self) -> str:
        """Write the op down as the design does."""
        words = [self._parameter(name) for name in self.positional]
        if self.options:
            words += ["*", *(self._parameter(name) for name in self.options)]
        return f"{self.op}({', '.join(words)}) -> {', '.join(self.results).replace('*', '')}"

    def _parameter(self, name: str) -> str:
        return f"{name}={self.defaults[name]!r}" if name in self.defaults else name


@cache
def contract(op: str) -> Contract:
    """Return the contract of an op.

    >>> contract("conv2d").signature()
    'conv2d(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1) -> y'
    """
    parameters = inspect.signature(getattr(ops, op)).parameters.values()
    return Contract(
        op,
        tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY),
        tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY),
        {p.name: p.default for p in parameters if p.default is not p.empty},
        RESULTS[op],
    )


def lessons_of(op: str) -> list[int]:
    """Return the lessons that an op belongs to.

    >>> lessons_of("conv2d_backward")
    [2, 3]
    """
    return [lesson for lesson, names in LESSONS.items() if op in names]


def expected(lesson: int) -> tuple[str, ...]:
    """Return the ops of a lesson; raise for one without, and name those that have some.

    >>> expected(2)
    ('conv2d', 'conv2d_backward')
    """
    if lesson not in LESSONS:
        having = ", ".join(str(n) for n in LESSONS)
        raise ValueError(
            f"lesson {lesson} has no functions to write; expected one of the lessons {having} "
            "(or no number: the file's functions are then marked as they are)"
        )
    return LESSONS[lesson]
