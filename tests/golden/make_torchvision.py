"""Make torchvision_cases.npz: roi_pool, roi_align and nms as torchvision's compiled CPU operators compute them.

Run it as ``python tests/golden/make_torchvision.py`` with ``torch==2.13.0`` and ``torchvision==0.28.0``.
It needs a torchvision whose compiled operators load; it says so where they don't. (A wheel that was built
for CUDA beside a CPU build of torch finds no ``libc10_cuda.so``, ``libtorch_cuda.so`` and ``libcudart``;
its CPU operators never call them, so that libraries of those names on ``LD_LIBRARY_PATH``, in which the
missing symbols do nothing, are enough.)

Left out, because minisegnet differs from torchvision there by design:

- ``roi_pool`` on maps with NaN (torchvision hides it; with us it wins) or minus infinity (torchvision
  gives the most negative number);
- ``roi_pool`` where torchvision's bins, computed in floating point, differ from ours in integers;
- ``roi_align`` with ``aligned=True`` and an inverted box, which we refuse;
- any case whose float32 result in torchvision is not its float64 result rounded (a sample that falls on
  either side of the map's border, an overlap that lies on the threshold).
"""

import math

import numpy as np
from store import Cases, numbers

VERSIONS = {"torch": "2.13.0", "torchvision": "0.28.0"}

try:
    import torch
    import torchvision
    from torchvision.ops import nms, roi_align
except (ImportError, RuntimeError) as error:  # the latter: "operator torchvision::nms does not exist"
    message = (
        f"make_torchvision.py needs {VERSIONS} with compiled operators (see the top of the file): {error}"
    )
    raise SystemExit(message) from error
FOUND = {"torch": torch.__version__, "torchvision": torchvision.__version__}
if any(FOUND[name].split("+")[0] != version for name, version in VERSIONS.items()):
    raise SystemExit(f"make_torchvision.py needs {VERSIONS}, but found {FOUND}")


def roi_pool(x, rois, output_size, spatial_scale):
    """Call torchvision's operator itself: the public function drops the argmax."""
    return torch.ops.torchvision.roi_pool(x, rois, spatial_scale, *output_size)


def draw_rois(rng, R, N, H, scale, inverted):
    """Draw boxes in the picture's pixels: eighths, halves, beyond the border, without area, inverted."""
    rois = np.zeros((R, 5))
    for roi in rois:
        step = rng.choice([0.125, 0.5, 1.0])
        top, left = (rng.integers(-3, n + 3) for n in H)
        h, w = (rng.integers(0, n + 3) for n in H)
        kind = rng.integers(0, 8)
        if kind == 0:
            h = w = 0
        if kind == 1 and inverted:
            h, w = -h, -rng.integers(0, 3)
        if kind == 2:  # far outside
            top, left = top + rng.choice([-40, 40]), left - 1
        box = np.array([left, top, left + w, top + h], dtype=float)
        shift = rng.integers(0, 8, 4) if kind in (3, 4, 5) else np.full(4, rng.integers(0, 8))
        box += np.floor(shift * 0.125 / step) * step
        if not inverted:
            box[2:] = np.maximum(box[2:], box[:2])
        roi[:] = [rng.integers(0, N), *(box / scale)]
    return rois


def same_in_float32(wide, narrow):
    """Say whether float32 gives the float64 result but for rounding."""
    return all(
        torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-4)
        for a, b in zip(wide, narrow, strict=True)
    )


def integer_bins(rois, scale, output_size):
    """Say whether floating-point bins equal integer bins for every box, in float64 and in float32."""
    corners = rois[:, 1:] * scale
    rounded = np.trunc(corners + np.copysign(0.5, corners)).astype(int)  # corners are exact, so this is too
    for x1, y1, x2, y2 in rounded:
        for extent, bins in ((max(y2 - y1 + 1, 1), output_size[0]), (max(x2 - x1 + 1, 1), output_size[1])):
            for kind, i in ((k, i) for k in (np.float32, np.float64) for i in range(bins)):
                size = kind(extent) / kind(bins)
                start, stop = math.floor(kind(i) * size), math.ceil(kind(i + 1) * size)
                if (start, stop) != (i * extent // bins, -(-(i + 1) * extent // bins)):
                    return False
    return True


def add_roi_pool(cases, rng, wanted=70):
    """RoI max pooling."""
    while wanted:
        N, C, H = int(rng.integers(1, 4)), int(rng.integers(1, 3)), tuple(map(int, rng.integers(2, 9, 2)))
        R = 0 if wanted % 24 == 0 else int(rng.integers(1, 5))
        output_size, scale = tuple(map(int, rng.integers(1, 4, 2))), float(rng.choice([1.0, 0.5, 0.0625]))
        tied = wanted % 2 == 1
        x = rng.integers(-1, 2, (N, C, *H)).astype(float) if tied else numbers(rng, N, C, *H)
        rois = draw_rois(rng, R, N, H, scale, inverted=True)
        if not integer_bins(rois, scale, output_size):
            continue
        wanted -= add_roi_pool_case(cases, rng, x, rois, output_size, scale)
    # The largest number below a half is rounded down. (Adding a half to it would give 1.)
    x = numbers(rng, 1, 1, 4, 4)
    for below in (np.nextafter(np.float32(0.5), np.float32(0)), np.nextafter(0.5, 0)):
        rois = np.array([[0.0, below, -below, 3.0, 2.0], [0.0, 0.0, 0.0, 2 + below, below]])
        more = {} if below == np.float32(below) else {"float32": None}  # float32 does not have that number
        assert add_roi_pool_case(cases, rng, x, rois, (2, 2), 1.0, **more)


def add_roi_pool_case(cases, rng, x, rois, output_size, scale, **more):
    """Add one case unless float32 gives another result; say whether it was added."""
    tx = torch.tensor(x, requires_grad=True)
    y, argmax = roi_pool(tx, torch.tensor(rois), output_size, scale)
    dy = numbers(rng, *y.shape)
    (dx,) = torch.autograd.grad(y, tx, torch.tensor(dy))
    narrow = roi_pool(tx.float(), torch.tensor(rois).float(), output_size, scale)
    if "float32" not in more and not same_in_float32((y, argmax), narrow):
        return False
    expected = {"y": y.detach().numpy(), "argmax": argmax.numpy(), "dx": dx.numpy()}
    kwargs = {"output_size": output_size, "spatial_scale": scale}
    cases.add("roi_pool", kwargs, {"x": x, "rois": rois, "dy": dy}, expected, **more)
    return True


def add_roi_align(cases, rng, wanted=80):
    """RoI align: sampling ratios 0 (as many as needed) to 3, aligned and not."""
    while wanted:
        N, C, H = int(rng.integers(1, 4)), int(rng.integers(1, 3)), tuple(map(int, rng.integers(1, 8, 2)))
        R = 0 if wanted % 20 == 0 else int(rng.integers(1, 5))
        output_size, scale = tuple(map(int, rng.integers(1, 4, 2))), float(rng.choice([1.0, 0.5, 0.0625]))
        aligned, ratio = wanted % 2 == 0, wanted // 2 % 4
        x = numbers(rng, N, C, *H)
        rois = draw_rois(rng, R, N, H, scale, inverted=not aligned)
        tx = torch.tensor(x, requires_grad=True)
        y = roi_align(tx, torch.tensor(rois), output_size, scale, ratio, aligned)
        dy = numbers(rng, *y.shape)
        (dx,) = torch.autograd.grad(y, tx, torch.tensor(dy))
        tf = torch.tensor(x).float().requires_grad_()
        narrow = roi_align(tf, torch.tensor(rois).float(), output_size, scale, ratio, aligned)
        (narrow_dx,) = torch.autograd.grad(narrow, tf, torch.tensor(dy).float())
        if not same_in_float32((y, dx), (narrow, narrow_dx)):
            continue
        expected = {"y": y.detach().numpy(), "dx": dx.numpy()}
        kwargs = {"output_size": output_size, "spatial_scale": scale}
        kwargs |= {"sampling_ratio": ratio, "aligned": aligned}
        cases.add("roi_align", kwargs, {"x": x, "rois": rois, "dy": dy}, expected)
        wanted -= 1


def add_nms(cases, rng, wanted=50):
    """Non-maximum suppression: tied scores, equal boxes, boxes without area, overlaps on the threshold."""
    while wanted:
        R = 0 if wanted % 25 == 0 else int(rng.integers(1, 14))
        corner, extent = rng.integers(0, 6, (R, 2)), rng.integers(0, 6, (R, 2))
        if wanted % 3 == 0:
            corner, extent = (
                corner + np.round(rng.random((R, 2)), 2),
                extent + np.round(rng.random((R, 2)), 2),
            )
        if wanted % 5 == 0 and R:  # copies, and boxes without area
            corner[R // 2 :], extent[R // 2 :] = corner[0], extent[0] * (wanted % 2)
        boxes = np.concatenate([corner, corner + extent], axis=1).astype(float)
        scores = rng.integers(0, 4, R) / 4 if wanted % 2 else np.round(rng.random(R), 3)
        threshold = float(rng.choice([0.0, 0.25, 0.3, 0.5, 0.7, 1.0]))
        tb, ts = torch.tensor(boxes), torch.tensor(scores)
        kept = nms(tb, ts, threshold)
        if not torch.equal(kept, nms(tb.float(), ts.float(), threshold)):
            continue
        cases.add(
            "nms", {"iou_threshold": threshold}, {"boxes": boxes, "scores": scores}, {"kept": kept.numpy()}
        )
        wanted -= 1


def main():
    """Make the file."""
    torch.set_num_threads(1)
    cases = Cases()
    for seed, add in enumerate((add_roi_pool, add_roi_align, add_nms)):
        add(cases, np.random.default_rng((100, seed)))
    about = {"made_by": "make_torchvision.py", **FOUND, "numpy": np.__version__}
    cases.write("torchvision_cases.npz", about)


if __name__ == "__main__":
    main()
