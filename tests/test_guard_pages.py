"""The fast kernels check no bounds. Here they run on arrays with unreadable memory before or behind each of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minisegnet import ops

pytestmark = [
    pytest.mark.skipif(ops.why_not("numba") is not None, reason=str(ops.why_not("numba"))),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect as Linux has it"),
]
ROOT = Path(__file__).parent.parent

RUN = """
import faulthandler, sys
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from fast_cases import arrays, convolutions, depthwises, patches, pointwises, wides, winograds
from guard_pages import guarded
from minisegnet.backends.numba.fast import depthwise, direct, matrix, norm, pointwise, sigmoid, softmax
from minisegnet.backends.numba.fast import unfolded, winograd
from minisegnet.backends.numba import axes
from minisegnet.backends.numba.fast import windows as window_texts
from pool_cases import maps, poolings, tables
from test_fast_maps import norms, scores

before = sys.argv[1] == "before"
for text in (depthwise, direct, matrix, pointwise, unfolded, winograd):  # scratch is guarded, too
    text.fresh = lambda shape, dtype=np.float32: guarded(np.full(shape, np.nan, dtype), before)
examples = settings(max_examples=int(sys.argv[2]), derandomize=True, database=None, deadline=None,
                    suppress_health_check=list(HealthCheck), phases=[Phase.generate])
last = None

def guard(case):
    global last
    last = case
    print(case, file=sys.stderr, flush=True)
    return type(arrays(case))(*(guarded(a.astype(np.float32), before) for a in arrays(case)))

@examples
@given(convolutions())
def blocks(case):
    a, options = guard(case), (case.stride, case.padding, case.dilation, case.groups)
    zeros = guarded(np.zeros(case.C * case.groups, np.float32), before)
    direct.gather(a.y, a.x, a.w, a.b, *options)
    direct.scatter(a.dx, a.dy, a.w, zeros, *options)
    direct.weight_gradient(a.dw, a.dy, a.x, *options)

@examples
@given(convolutions())
def windows(case):
    case = case._replace(groups=1)
    a, options = guard(case), (case.stride, case.padding, case.dilation)
    unfolded.gather(a.y, a.x, a.w, a.b, *options)
    unfolded.scatter(a.dx, a.dy, a.w, guarded(np.zeros(case.C, np.float32), before), *options)
    unfolded.weight_gradient(a.dw, a.dy, a.x, *options)

@examples
@given(winograds())
def tiles(case):
    a, zeros = guard(case), guarded(np.zeros(case.C, np.float32), before)
    winograd.convolve(a.y, a.x, a.w, a.b, case.padding)
    winograd.convolve(a.dx, a.dy, a.w, zeros, (2 - case.padding[0], 2 - case.padding[1]), turned=True)
    winograd.weight_gradient(a.dw, a.dy, a.x, case.padding)

@examples
@given(depthwises())
def planes(case):
    a, zeros = guard(case), guarded(np.zeros(case.groups, np.float32), before)
    depthwise.gather(a.y, a.x, a.w, a.b, case.stride, case.padding, case.dilation)
    depthwise.weight_gradient(a.dw, a.dy, a.x, case.stride, case.padding, case.dilation)
    if case.stride == (1, 1):
        depthwise.scatter(a.dx, a.dy, a.w, zeros, case.padding, case.dilation)

@examples
@given(wides())
def rows(case):
    a, options = guard(case), (case.stride, case.padding, case.dilation)
    depthwise.gather_wide(a.y, a.x, a.w, a.b, *options)
    depthwise.scatter_wide(a.dx, a.dy, a.w, guarded(np.zeros(case.groups, np.float32), before), *options)
    depthwise.weight_gradient_wide(a.dw, a.dy, a.x, *options)

@examples
@given(pointwises())
def points(case):
    a = guard(case)
    pointwise.products(a.y, a.x, pointwise.packed(a.w[:, :, 0, 0]), a.b)
    pointwise.product_gradients(a.dw[:, :, 0, 0], a.dy, a.x)

@examples
@given(patches())
def covers(case):
    a, zeros = guard(case), guarded(np.zeros(case.C, np.float32), before)
    pointwise.patches(a.dx, a.dy, a.w, zeros)
    pointwise.patch_gradients(a.y, a.dw, a.x, a.dy, a.w)

@examples
@given(norms(), st.sampled_from([0, np.nan]))
def normalisations(a, cut):
    a = {name: guarded(v, before) for name, v in a.items()}
    y, dx = guarded(a["x"], before), guarded(a["x"], before)
    C = len(a["scale"])
    mean, inv_std, *sums = (guarded(np.ones(C, t), before) for t in (np.float32,) * 2 + (np.float64,) * 2)
    cut = np.float32(cut)
    norm.normalise(y, a["x"], mean, inv_std, a["scale"], a["shift"], cut)
    norm.train(y, a["x"], a["scale"], a["shift"], 1e-3, cut, *sums, mean, inv_std)
    norm.train_backward(dx, a["dy"], y, a["x"], mean, inv_std, a["scale"], cut, *sums)

@examples
@given(scores())
def losses(a):
    a = {name: guarded(v, before) for name, v in a.items()}
    z, w, one = a["z"], a["pixel_weight"], guarded(np.ones(1, np.float32), before)
    y, dz, loss = guarded(z, before), guarded(z, before), guarded(w, before)
    softmax.softmax(z, y)
    softmax.log_softmax(z, y)
    softmax.log_softmax_backward(a["dy"], y, dz)
    softmax.cross_entropy(z, a["target"], w, 255, y, loss)
    for dloss in (one, w.reshape(-1)):
        softmax.cross_entropy_backward(dloss, y, a["target"], w, 255, 1.0, dz)
    z, y, t, dz = (array.reshape(-1) for array in (z, y, a["dy"], dz))
    sigmoid.sigmoid(z, y)
    for weights in (one, guarded(z, before)):
        sigmoid.bce_with_logits(z, t, weights, np.float32(-1), y)
        sigmoid.bce_with_logits_backward(weights, z, t, weights, np.float32(-1), np.float32(2), dz)

@examples
@given(poolings())
def largest(case):
    x = maps(case)
    y, indices = np.zeros((len(x), *case.output), np.float32), np.zeros((len(x), *case.output), np.int64)
    y, indices, x = (guarded(a, before) for a in (y, indices, x))
    window_texts.max_pool2d(y, indices, x, case.kernel, case.stride, case.padding, case.dilation)

@examples
@given(tables())
def weighted(case):
    (rows, H), (columns, W) = case
    size = (2, rows.at.shape[1], columns.at.shape[1])
    y, x = (guarded(np.ones(s, np.float32), before) for s in (size, (2, H, W)))
    axes.apply(y, x, rows, columns)

blocks()
windows()
tiles()
planes()
rows()
points()
covers()
normalisations()
losses()
largest()
weighted()
print("whole")
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, timeout=600
    )


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "behind"])
def test_nothing_is_read_or_written_outside(side: str) -> None:
    out = run(RUN, side, "150")
    assert out.returncode == 0 and "whole" in out.stdout, f"{out.returncode}: {out.stderr[-2000:]}"


@pytest.mark.parametrize(("before", "index"), [(True, -1), (False, 16)])
def test_the_guard_bites(before: bool, index: int) -> None:
    code = f"""
import ctypes
import numpy as np
from guard_pages import guarded
a = guarded(np.arange(16, dtype=np.float32), {before})
print(a.sum(), flush=True)
ctypes.c_float.from_address(a.ctypes.data + 4 * {index}).value
"""
    out = run(code)
    assert out.stdout.strip() == "120.0" and out.returncode < 0, (out.returncode, out.stderr)
