"""How fast we want to be: PyTorch's time over ours, at least so much. float32, two threads, full size.

The reports write the goal beside each ratio, and whether it was met. Nothing else depends on them.
"""

from typing import Any, NamedTuple, TypeAlias

FORWARD, BACKWARD, TOGETHER = "forward", "backward", "forward+backward"
THREADS = 2

# Ops, against PyTorch's ordinary function: (op, how the case's name begins), and the goal of each direction.
OPS: dict[tuple[str, str], dict[str, float]] = {
    ("conv2d", "3x3, 3 to 16"): {FORWARD: 1.4, TOGETHER: 1.4},
    ("conv2d", "3x3, 16 to 16"): {FORWARD: 1.4, TOGETHER: 1.4},
    ("conv2d", "3x3, 32 to 32"): {FORWARD: 1.4, TOGETHER: 1.4},
    ("conv2d", "3x3, 64 to 64"): {FORWARD: 1.8, TOGETHER: 1.7},
    ("conv2d", "3x3, 128 to 128"): {FORWARD: 1.8, TOGETHER: 1.7},
    ("conv2d", "3x3, 256 to 256"): {FORWARD: 1.8, TOGETHER: 1.7},
    ("conv2d", "1x1"): {FORWARD: 1.4, TOGETHER: 1.4},
    ("conv2d", "3x3 stride 2"): {FORWARD: 1.05, TOGETHER: 1.05},
    ("conv2d", "3x3 dilation 2"): {FORWARD: 1.05, TOGETHER: 1.05},
    ("conv2d", "3x3 depthwise"): {FORWARD: 1.3, TOGETHER: 1.3},
    ("conv_transpose2d", "2x2 stride 2"): {FORWARD: 1.3, TOGETHER: 1.3},
    ("conv_transpose2d", "4x4 stride 2"): {FORWARD: 1.2, TOGETHER: 1.2},
    ("max_pool2d", ""): {FORWARD: 5.0, BACKWARD: 2.0},
    ("max_unpool2d", ""): {FORWARD: 2.0, BACKWARD: 2.0},
    ("resize_bilinear", ""): {FORWARD: 5.0, BACKWARD: 5.0},
    ("batch_norm_relu", ""): {FORWARD: 4.0, BACKWARD: 1.8},
    ("softmax_cross_entropy", ""): {FORWARD: 2.0, BACKWARD: 2.0},
    ("roi_pool", ""): {FORWARD: 2.0},
}


class Goal(NamedTuple):
    """Be so many times as fast as somebody."""

    over: str
    ratio: float


# Whole networks: (pass, situation, network), where "" stands for all that have no line of their own.
FASTEST = "fastest PyTorch"  # of all its ways
STEP, INFERENCE = "training step", "inference"
ORDINARY = "batch 8, 128 x 128"
NETWORKS: dict[tuple[str, str, str], list[Goal]] = {
    (STEP, ORDINARY, "unet"): [Goal("torch", 1.8), Goal(FASTEST, 1.3)],
    (STEP, ORDINARY, ""): [Goal("torch", 1.5)],
    (INFERENCE, ORDINARY, ""): [Goal("torch", 1.7), Goal("onnxruntime", 1.0)],
    (STEP, "", ""): [Goal("torch", 1.0)],
    (INFERENCE, "", ""): [Goal("torch", 1.0)],
}

Record: TypeAlias = dict[str, Any]


def apply(record: Record) -> bool:
    """Whether a record was measured as the goals were meant."""
    settings = record["settings"]
    return (settings["dtype"], settings["scale"], record["threads"]["asked for"]) == (
        "float32", "full", THREADS,
    )  # fmt: skip


def of_op(op: str, case: str, direction: str) -> float | None:
    """Return the goal of a row of the ops; None where there is none."""
    fitting = [name for name in OPS if name[0] == op and case.startswith(name[1])]
    return OPS[max(fitting, key=lambda name: len(name[1]))].get(direction) if fitting else None


def of_network(kind: str, situation: str, network: str) -> list[Goal]:
    """Return the goals of a row of the networks."""
    for key in ((kind, situation, network), (kind, situation, ""), (kind, "", "")):
        if key in NETWORKS:
            return NETWORKS[key]
    return []


def verdict(ratio: float, goal: float) -> str:
    """Write a goal and whether it is met."""
    return f"{goal:g}x {'met' if ratio >= goal else 'missed'}"
