"""Mistakes that are planted in the CUDA sources, to see that the checks notice them. Run by test_cuda_mutants.py.

``python cuda_mutants.py NUMBER`` plants one and prints what the check that should notice it says ("" if nothing).
"""

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cuda_wide
import numpy as np
from cuda_cases import all_cases, prefer_large_tiles
from cuda_guard import guard_all
from cuda_processes import outcome
from op_table import Call
from test_ops import assert_close, run, tolerance

from minisegnet.backends.cuda_on_cpu import build
from minisegnet.backends.cuda_on_cpu.module import planned
from minisegnet.backends.cupy import launch, manifest


@dataclass(frozen=True)
class Mutant:
    """A mistake: in a source, ``old`` becomes ``new``; the cases of ``ops`` are run, and ``noticed`` says what notices.

    values: wrong numbers, or an error. order: other bits when the last warp goes first, or any. before, behind: the
    page there. wide: the case of cuda_wide.py that ``ops`` names.
    """

    what: str
    source: str
    old: str
    new: str
    ops: str
    noticed: str


MUTANTS = [
    # activation
    Mutant(
        "NaN becomes 0",
        "activation",
        "y[i] = x[i] <= 0 ? real(0) : x[i]",
        "y[i] = x[i] > 0 ? x[i] : real(0)",
        "relu",
        "values",
    ),
    Mutant(
        "the whole row's sum instead of the product's",
        "activation",
        "sum += (double)dy[start + a * I] * y[start + a * I];\n    real dot",
        "sum += (double)dy[start + a * I];\n    real dot",
        "softmax",
        "values",
    ),
    Mutant(
        "no peak: exp overflows",
        "activation",
        "peak = max(peak, x[a * I]);\n  return peak",
        "peak = max(real(0), real(0));\n  return peak",
        "softmax",
        "values",
    ),
    Mutant(
        "a row's place in 32 bits",
        "activation",
        "return o * A * I + (row - o * I);",
        "return int(o * A * I + (row - o * I));",
        "softmax_of_long_rows",
        "wide",
    ),
    Mutant(
        "the first barrier of a block's maximum is missing",
        "activation",
        "  __syncthreads();  // whoever still reads parts[0] of an earlier call is let finish\n  if (lane == 0) parts[warp] = v;\n  __syncthreads();",
        "  if (lane == 0) parts[warp] = v;",
        "softmax",
        "order",
    ),
    # prelude
    Mutant(
        "the last barrier of a block's sum is missing",
        "prelude",
        "    if (lane == 0) parts[0] = v;\n  }\n  __syncthreads();",
        "    if (lane == 0) parts[0] = v;\n  }",
        "softmax",
        "values",
    ),
    Mutant(
        "the first barrier of a block's sum is missing",
        "prelude",
        "  __syncthreads();  // whoever still reads parts[0] of an earlier sum is let finish\n",
        "",
        "batch_norm",
        "order",
    ),
    Mutant(
        "a warp's sum stops early",
        "prelude",
        "for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor",
        "for (int apart = 16; apart > 1; apart /= 2) v += __shfl_xor",
        "global_avg_pool2d",
        "values",
    ),
    Mutant(
        "the grid's stride is a block's",
        "prelude",
        "i += (index)gridDim.x * blockDim.x)",
        "i += blockDim.x)",
        "softmax_cross_entropy",
        "values",
    ),
    Mutant(
        "the first element in 32 bits",
        "prelude",
        "index i = blockIdx.x * (index)blockDim.x + threadIdx.x",
        "index i = int(blockIdx.x * blockDim.x + threadIdx.x)",
        "relu",
        "wide",
    ),
    Mutant(
        "all threads of a row take its first pixel",
        "prelude",
        "int(blockIdx.y * blockDim.x + threadIdx.x)",
        "int(blockIdx.y * blockDim.x)",
        "crop2d",
        "values",
    ),
    # arrange
    Mutant(
        "one column too far",
        "arrange",
        "if (0 <= i && i < size) return i;",
        "if (0 <= i && i <= size) return i;",
        "pad2d",
        "values",
    ),
    Mutant(
        "reflection without its edge",
        "arrange",
        "return i < 0 ? -i : 2 * (size - 1) - i;",
        "return i < 0 ? -i - 1 : 2 * (size - 1) - i + 1;",
        "pad2d",
        "values",
    ),
    Mutant(
        "no bounds when cutting",
        "arrange",
        "bool kept = 0 <= row && row < h && 0 <= column && column < w;",
        "bool kept = 0 <= row && 0 <= column && column < w;",
        "crop2d",
        "behind",
    ),
    Mutant(
        "run and whole swapped",
        "arrange",
        "dx[i] = dy[o * whole + start + (i - o * run)];",
        "dx[i] = dy[o * run + start + (i - o * whole)];",
        "concat",
        "before",
    ),
    # dropout
    Mutant("words behind the end", "dropout", "if (i >= total) return;", "", "dropout", "behind"),
    Mutant("nine rounds", "dropout", "round < 10", "round < 9", "dropout", "values"),
    # pool
    Mutant(
        "the last row of windows isn't asked",
        "pool",
        "grow(reach + 2 * (index)row + 1, oh + 1);",
        "grow(reach + 2 * (index)row + 1, oh);",
        "max_pool2d",
        "values",
    ),
    Mutant(
        "lanes of a warp forget which NaN is the last",
        "pool",
        "if (is_nan(a.value) && is_nan(b.value)) return a.where > b.where ? a : b;",
        "if (is_nan(a.value) && is_nan(b.value)) return a;",
        "adaptive_max_pool2d",
        "values",
    ),
    Mutant(
        "a window's last tap",
        "pool",
        "min(start + (index)K * d, (index)size)",
        "min(start + (index)K * d - 1, (index)size)",
        "max_pool2d",
        "values",
    ),
    Mutant(
        "the later of two equal maxima",
        "pool",
        "value > best.value",
        "value >= best.value",
        "max_pool2d",
        "values",
    ),
    Mutant("NaN is passed over", "pool", " || is_nan(value)", "", "max_pool2d", "values"),
    Mutant(
        "bins end too early",
        "pool",
        "int((((index)o + 1) * size + bins - 1) / bins)",
        "int(((index)o + 1) * size / bins)",
        "adaptive_max_pool2d adaptive_avg_pool2d",
        "values",
    ),
    Mutant(
        "the last window is asked no more",
        "pool",
        "stop = padded / s + 1;",
        "stop = padded / s;",
        "avg_pool2d",
        "values",
    ),
    Mutant(
        "a plane's place in 32 bits",
        "pool",
        "const real* map = x + blockIdx.x * pixels;",
        "const real* map = x + int(blockIdx.x * pixels);",
        "global_avg_pool2d",
        "wide",
    ),
    Mutant(
        "the first of repeated places stays",
        "pool",
        "for (int h = rows.stop - 1; h >= rows.first && !found; --h)",
        "for (int h = rows.first; h < rows.stop && !found; ++h)",
        "max_unpool2d",
        "values",
    ),
    Mutant(
        "planes overlap",
        "pool",
        "index window = (p.plane * OH + oh) * OW + ow;",
        "index window = (p.plane * OW + oh) * OW + ow;",
        "max_pool2d",
        "values",
    ),
    Mutant(
        "height for width",
        "pool",
        "Range rows = bin_of(p.row, H, OH), columns = bin_of(p.column, W, OW);\n    Best best = {-INFINITY, -1};\n    for (int row",
        "Range rows = bin_of(p.row, W, OH), columns = bin_of(p.column, H, OW);\n    Best best = {-INFINITY, -1};\n    for (int row",
        "adaptive_max_pool2d",
        "behind",
    ),
    # resize
    Mutant(
        "a pixel's lower neighbours aren't asked",
        "resize",
        "first_at(r - 1, size",
        "first_at(r, size",
        "resize_bilinear",
        "values",
    ),
    Mutant(
        "bottom row beyond the map",
        "resize",
        "int bottom = min(top + 1, H - 1), right",
        "int bottom = top + 1, right",
        "resize_bilinear",
        "behind",
    ),
    Mutant(
        "corners for edges",
        "resize",
        "if (align_corners)  //",
        "if (!align_corners)  //",
        "resize_bilinear",
        "values",
    ),
    Mutant(
        "a copy too many",
        "resize",
        "return ((index)r * output_size + size - 1) / size;",
        "return ((index)r * output_size + size) / size;",
        "resize_nearest",
        "values",
    ),
    # roi
    Mutant(
        "the last pixel of a bin isn't looked for",
        "roi",
        "grow(column_reach + 1, column + 1);",
        "grow(column_reach + 1, column);",
        "roi_pool",
        "values",
    ),
    Mutant(
        "the pixel before a sample gets nothing",
        "roi",
        "if (sample.low == place) weight += sample.low_weight;",
        "",
        "roi_align",
        "values",
    ),
    Mutant(
        "NaN hidden in a bin",
        "roi",
        "if (value > best || is_nan(value)) best",
        "if (value > best) best",
        "roi_pool",
        "values",
    ),
    Mutant(
        "channels of another region",
        "roi",
        "const real* map = x + ((index)max(n, 0) * C + p.plane - r * C) * H * W;\n    index stop_row",
        "const real* map = x + ((index)max(n, 0) * C + p.plane) * H * W;\n    index stop_row",
        "roi_align",
        "behind",
    ),
    Mutant(
        "bins count their samples only inside",
        "roi",
        "sum * region.share",
        "sum / max(1.0, double(region.rows.count * region.columns.count - 1))",
        "roi_align",
        "values",
    ),
    # boxes
    Mutant(
        "the later of two equal scores first",
        "boxes",
        "other == mine && j < i",
        "other == mine && j > i",
        "nms",
        "values",
    ),
    Mutant(
        "boxes read before they are loaded",
        "boxes",
        "  if (t < count) others[t] = box[first + t];\n  __syncthreads();",
        "  if (t < count) others[t] = box[first + t];",
        "nms",
        "values",
    ),
    Mutant(
        "a row not waited for",
        "boxes",
        "    __syncthreads();  // the row of the box before has been added\n",
        "",
        "nms",
        "order",
    ),
    # linear
    Mutant(
        "slices read before they are complete",
        "linear",
        "    __syncthreads();  // the slices are complete\n",
        "",
        "linear",
        "values",
    ),
    Mutant(
        "slices overwritten while others read",
        "linear",
        "    __syncthreads();  // nobody still reads what the next round overwrites\n",
        "",
        "linear",
        "order",
    ),
    Mutant(
        "columns beyond the edge are written",
        "linear",
        "if (m < M && n < N) c[m * N + n]",
        "if (m < M) c[m * N + n]",
        "linear",
        "behind",
    ),
    # conv
    Mutant(
        "taps beyond the last are read",
        "conv",
        "own[j] = j * APART < left && tap.c < v.channels ? *place : real(0);",
        "own[j] = j * APART < left ? *place : real(0);",
        "conv2d",
        "behind",
    ),
    Mutant(
        "the row below the map is read",
        "conv",
        "bool met = inside && tap.c < v.channels && r < (unsigned)v.IH && c < (unsigned)v.IW;",
        "bool met = inside && tap.c < v.channels && r <= (unsigned)v.IH && c < (unsigned)v.IW;",
        "conv2d",
        "values",
    ),
    Mutant(
        "strides swapped",
        "conv",
        "v.down = s.sh, v.tap_down",
        "v.down = s.sw, v.tap_down",
        "conv2d",
        "values",
    ),
    Mutant(
        "taps not turned round",
        "conv",
        "v.row = rows.start, v.down = 1, v.tap_down = -rows.jump",
        "v.row = rows.start, v.down = 1, v.tap_down = rows.jump",
        "conv_transpose2d",
        "values",
    ),
    Mutant(
        "the last barrier of a slice is missing",
        "conv",
        "multiply<ROWS, COLUMNS, COLUMNS>(a_slice, b_slice, sums);\n    __syncthreads();  // nobody still reads what the next round overwrites",
        "multiply<ROWS, COLUMNS, COLUMNS>(a_slice, b_slice, sums);",
        "conv2d",
        "order",
    ),
    Mutant(
        "one filter too many in a tile",
        "conv",
        "if (m < v.rows) place",
        "if (m <= v.rows) place",
        "conv2d",
        "behind",
    ),
    Mutant(
        "an image's place in 32 bits",
        "conv",
        "image = v.in + p / plane * v.in_image;",
        "image = v.in + int(p / plane * v.in_image);",
        "conv2d_by_tiles",
        "wide",
    ),
    # conv_direct
    Mutant(
        "the group's channels forgotten",
        "conv_direct",
        "((index)n * C + k / KG * CG) * H * W;  // the first",
        "((index)n * C) * H * W;  // the first",
        "conv2d",
        "values",
    ),
    Mutant(
        "rows count from the padding",
        "conv_direct",
        "unsigned row = p.row * sh - ph + (unsigned)i * dh;",
        "unsigned row = p.row * sh + (unsigned)i * dh;",
        "conv2d",
        "values",
    ),
    # norm
    Mutant(
        "the unbiased variance forgotten",
        "norm",
        "momentum * (squares / (double)(M - 1))",
        "momentum * (squares / (double)M)",
        "batch_norm",
        "values",
    ),
    Mutant(
        "parts' means not put together",
        "norm",
        "squares += part_squares[(index)c * parts + part] + length * distance * distance;",
        "squares += part_squares[(index)c * parts + part];",
        "batch_norm",
        "values",
    ),
    Mutant(
        "a channel's place in 32 bits",
        "norm",
        "return (value.n * C + c) * L + value.i;",
        "return int((value.n * C + c) * L + value.i);",
        "batch_norm_training",
        "wide",
    ),
    # loss
    Mutant(
        "ignored pixels count",
        "loss",
        "if (has_ignored && label == ignored) return {false, 0, 0};",
        "if (has_ignored && label == ignored) return {false, 0, 1};",
        "softmax_cross_entropy",
        "values",
    ),
    Mutant(
        "logarithm of a rounded probability",
        "loss",
        "(double)(log(total) - (logits[first + label.label * P] - peak))",
        "(double)(-log(probs[first + label.label * P]))",
        "softmax_cross_entropy",
        "values",
    ),
    Mutant(
        "exp of positive numbers",
        "loss",
        "log1p(exp(-fabs(z)))",
        "log1p(exp(fabs(z))) - fabs(z)",
        "bce_with_logits",
        "values",
    ),
]


def plant(mutant: Mutant) -> None:
    """Have the sources be read with the mistake in them, and keep what is built of them out of the user's cache."""
    whole, folder = manifest.text, Path(tempfile.mkdtemp(prefix="mutant-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

    def text(source: str) -> str:
        assert whole(source).count(mutant.old) == 1 or mutant.source != source
        return whole(source).replace(mutant.old, mutant.new)

    manifest.text = text  # type: ignore[assignment]
    build.cache_folder = lambda: folder  # type: ignore[assignment]


def calls_of(mutant: Mutant) -> dict[str, Call]:
    return {n: c for n, c in all_cases("float32").items() if c.op in mutant.ops.split()}


def results(call: Call) -> tuple[Any, ...]:
    outputs, gradients = run(call, "cuda-on-cpu")
    return (*outputs, *gradients)


def compare(calls: dict[str, Call]) -> None:
    for blocks in (launch.MOST_BLOCKS, 2):
        launch.MOST_BLOCKS = blocks
        for name, call in calls.items():
            outputs, gradients = run(call, "numpy")
            for i, (a, b) in enumerate(zip(results(call), (*outputs, *gradients), strict=True)):
                assert_close(a, b, tolerance(np.float32), f"{name}, result {i}")


def reorder(calls: dict[str, Call]) -> None:
    for name, call in calls.items():
        expected = results(call)
        for order in ("last first", "random"):
            with planned(order=order, seed=1):
                for a, b in zip(results(call), expected, strict=True):
                    assert a is b or a.tobytes() == b.tobytes(), f"{name}: other bits when {order}"


def guarded(calls: dict[str, Call], side: str) -> Callable[[], None]:
    def check() -> None:
        guard_all(side)
        for call in calls.values():
            run(call, "cuda-on-cpu")

    return check


def noticed(mutant: Mutant) -> str:
    """Return what the check says that should notice the mutant; "" if it notices nothing."""
    calls = calls_of(mutant)
    if mutant.noticed == "values":
        return outcome(lambda: compare(calls))
    if mutant.noticed == "order":
        return outcome(lambda: reorder(calls))
    if mutant.noticed == "wide":
        return outcome(lambda: cuda_wide.run_case(mutant.ops))
    return outcome(guarded(calls, mutant.noticed))


if __name__ == "__main__":
    chosen = MUTANTS[int(sys.argv[1])]
    plant(chosen)
    prefer_large_tiles()
    print(json.dumps(noticed(chosen)))
