"""SegNet and SegNet-Basic against what the paper says, against PyTorch, and against finite differences."""

import numpy as np
import pytest
from golden_cases import read
from model_checks import check_same_as_pytorch, check_whole_model, coloured, disc_and_bar, learn_by_heart

from minisegnet import Tensor, functional, models, nn, ops, optim
from minisegnet.autograd import no_grad
from minisegnet.models.segnet import pack_indices, unpack_indices
from minisegnet.ops import use_backend
from minisegnet.sizes import Layer, receptive_field
from minisegnet.testing import distinct_values

GOLDEN = read("models/segnet")  # made by golden/make_segnet.py
PAPER = {"width": 64, "convolutions": (2, 2, 3, 3, 3)}

# ---------------------------------------------------------------------------------------------------------
# Row 7: pooling with indices, and unpooling


@pytest.mark.claim("S2-29")
def test_row_7_pooling_of_the_notes() -> None:
    """Row 7: the 4 x 4 matrix of the notes pools to [[5, 6], [7, 8]], and the indices say where from."""
    x = np.array([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])[None, None]
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    np.testing.assert_array_equal(y.data[0, 0], [[5, 6], [7, 8]])
    np.testing.assert_array_equal(indices[0, 0], [[5, 2], [12, 15]])


@pytest.mark.claim("S2-30", "S3-29")
def test_row_7_unpooling_of_the_notes() -> None:
    """Row 7: [[1, 2], [3, 4]] goes to the places of the notes' maxima, and 0 everywhere else."""
    indices = np.array([[5, 2], [12, 15]])[None, None]
    y = nn.MaxUnpool2d()(Tensor(np.array([[1.0, 2], [3, 4]])[None, None]), indices, 4)
    expected = [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]
    np.testing.assert_array_equal(y.data[0, 0], expected)


@pytest.mark.claim("S2-29")
@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_row_7_unpooling_keeps_the_maxima(size: tuple[int, int], backend: str) -> None:
    """Row 7: unpool after pool leaves each maximum in its place and 0 elsewhere; the backward gathers."""
    x = distinct_values((2, 3, *size)) + 100.0  # above 0, so that a 0 is no value
    with use_backend(backend):
        y, indices = ops.max_pool2d(x, 2)
        back = ops.max_unpool2d(y, indices, size)
        kept = back != 0
        np.testing.assert_array_equal(back[kept], x[kept])
        assert kept.sum() == y.size
        again, same = ops.max_pool2d(back, 2)
        np.testing.assert_array_equal(again, y)
        np.testing.assert_array_equal(same, indices)
        dy = distinct_values(back.shape, seed=1)
        dx = ops.max_unpool2d_backward(dy, indices)
    np.testing.assert_array_equal(np.sort(dx, axis=None), np.sort(dy[kept]))
    np.testing.assert_array_equal(dx[0, 1, 2, 1], dy[0, 1].reshape(-1)[indices[0, 1, 2, 1]])


@pytest.mark.claim("S3-29")
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 2), (5, 6)])
def test_row_7_indices_cost_two_bits(size: tuple[int, int]) -> None:
    """Row 7: a quarter of a byte for each pooled pixel, and nothing is lost: it unpacks to the same indices."""
    y, indices = ops.max_pool2d(distinct_values((2, 3, *size)), 2)
    packed = pack_indices(indices, size)
    assert packed.nbytes == -(-y.size // 4)  # rounded up to whole bytes
    np.testing.assert_array_equal(unpack_indices(packed, indices.shape, size), indices)


@pytest.mark.claim("S3-34")
def test_row_7_memory_of_the_paper() -> None:
    """Row 7: at 360 x 480 the five index maps take 1/64 of what keeping the five feature maps would."""
    with nn.creating(initialise=False):
        model = models.segnet.SegNet(3, 11, **PAPER)
    sizes = model.level_sizes((360, 480))
    assert sizes == [(360, 480), (180, 240), (90, 120), (45, 60), (22, 30), (11, 15)]
    index_bytes = map_bytes = 0
    for C, (H, W), (OH, OW) in zip((64, 128, 256, 512, 512), sizes[:-1], sizes[1:], strict=True):
        index_bytes += C * OH * OW // 4
        map_bytes += C * H * W * 4  # float32, as a skip connection would keep them
    assert index_bytes == 691_200 + 345_600 + 172_800 + 84_480 + 21_120
    assert map_bytes / index_bytes == pytest.approx(64, rel=0.01)  # a row of 45 has no partner and no index


@pytest.mark.claim("S3-30")
def test_row_7_a_point_survives_only_with_indices() -> None:
    """Row 7: pooled and brought back, single points are where they were with indices, and blocks of four without."""
    x = np.zeros((1, 1, 8, 8))
    x[0, 0, [0, 3, 6], [1, 4, 7]] = 1
    y, indices = ops.max_pool2d(x, 2)
    np.testing.assert_array_equal(ops.max_unpool2d(y, indices, 8), x)
    assert ops.resize_nearest(y, 8).sum() == 4 * x.sum()


# ---------------------------------------------------------------------------------------------------------
# Row 7: the ablation. The same network, trained in the same way, with and without indices


def rectangles(seed: tuple[int, int], S: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture of six turned rectangles under noise, and its labels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:S, :S]
    labels = np.zeros((S, S), np.int64)
    for _ in range(6):
        y, x = rng.uniform(4, S - 4, 2)
        a, b = rng.uniform(2, 9, 2)
        angle = rng.uniform(0, np.pi)
        u = (rows - y) * np.cos(angle) + (columns - x) * np.sin(angle)
        v = (columns - x) * np.cos(angle) - (rows - y) * np.sin(angle)
        labels[(abs(u) < a) & (abs(v) < b)] = 1
    picture = labels - 0.5 + rng.normal(0, 0.1, (S, S))
    return picture[None].astype(np.float32), labels


def batch(*seeds: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Stack pictures and labels."""
    pictures, labels = zip(*(rectangles(seed) for seed in seeds), strict=True)
    return np.stack(pictures), np.stack(labels)


def edges(labels: np.ndarray) -> np.ndarray:
    """Mark pixels whose right or lower neighbour has another label."""
    marked = np.zeros(labels.shape, bool)
    marked[..., :-1] |= labels[..., 1:] != labels[..., :-1]
    marked[..., :-1, :] |= labels[..., 1:, :] != labels[..., :-1, :]
    return marked


def boundary_f1(unpool: str, *, seed: int, steps: int = 60) -> float:
    """Train a small SegNet, and compare its boundaries on new pictures with the true ones, to the pixel."""
    model = models.build(
        "segnet", in_channels=1, classes=2, width=8, convolutions=(1, 1, 1), unpool=unpool, seed=seed
    )
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in range(steps):
        pictures, labels = batch((seed, 2 * step), (seed, 2 * step + 1))
        optimizer.zero_grad()
        functional.softmax_cross_entropy(model(pictures), labels).backward()
        optimizer.step()
    pictures, labels = batch(*((9000, i) for i in range(8)))
    model.eval()
    with no_grad():
        found, true = edges(model(pictures).data.argmax(1)), edges(labels)
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


@pytest.mark.claim("S3-30")
def test_row_7_indices_sharpen_boundaries() -> None:
    """Row 7: against nearest upsampling, indices give a much better boundary F1 (measured: 0.70 and 0.33)."""
    assert boundary_f1("indices", seed=0) > boundary_f1("nearest", seed=0) + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_row_7_indices_sharpen_boundaries_from_any_start(seed: int) -> None:
    """Row 7: and not by the luck of one start."""
    assert boundary_f1("indices", seed=seed, steps=100) > boundary_f1("nearest", seed=seed, steps=100) + 0.15


# ---------------------------------------------------------------------------------------------------------
# Row 7: sizes and counts, by hand


def hand_count(pairs: list[tuple[int, int]], kernel_size: int, width: int, classes: int) -> int:
    """Count a SegNet's numbers: kernels, scale and shift of each BatchNorm, and the head with its bias."""
    convolutions = sum(before * after * kernel_size**2 + 2 * after for before, after in pairs)
    return convolutions + width * classes + classes


@pytest.mark.claim("S2-26", "S3-27", "S3-28", "S3-31")
def test_row_7_parameters_of_the_paper() -> None:
    """Row 7: 13 + 13 convolutions; the encoder holds VGG16's 14,710,464 weights."""
    model = models.build("segnet", classes=11, initialise=False, **PAPER)
    down = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256)]
    down += [(256, 512)] + [(512, 512)] * 5
    up = [(512, 512)] * 5 + [(512, 256), (256, 256), (256, 256), (256, 128)]
    up += [(128, 128), (128, 64), (64, 64), (64, 64)]
    kernels = [(w.shape[1], w.shape[0]) for _, w in model.named_parameters() if w.shape[2:] == (3, 3)]
    assert kernels == down + up
    assert len(down) == len(up) == 13
    assert sum(before * after * 9 for before, after in down) == 14_710_464  # VGG16 without biases
    kernels_both = 14_710_464 + (14_710_464 - 3 * 64 * 9 + 64 * 64 * 9)
    assert kernels_both == 29_456_064
    norms = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512) + 2 * (5 * 512 + 3 * 256 + 2 * 128 + 3 * 64)
    assert model.parameter_count() == kernels_both + norms + 64 * 11 + 11 == 29_472_779
    assert hand_count(down + up, 3, 64, 11) == 29_472_779
    assert model.output_size((360, 480)) == (360, 480)


def test_row_7_parameters_of_the_small_one() -> None:
    """Row 7: twice a convolution on each level, widths w, 2w, 4w, 8w, mirrored; parameters in forward order."""
    model = models.build("segnet", classes=3, width=4, initialise=False)
    down = [(3, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32)]
    up = [(32, 32), (32, 16), (16, 16), (16, 8), (8, 8), (8, 4), (4, 4), (4, 4)]
    shapes = [p.shape for p in model.parameters()]
    expected: list[tuple[int, ...]] = []
    for before, after in down + up:
        expected += [(after, before, 3, 3), (after,), (after,)]
    assert shapes == [*expected, (3, 4, 1, 1), (3,)]
    assert model.parameter_count() == hand_count(down + up, 3, 4, 3)


def test_row_7_parameters_of_segnet_basic() -> None:
    """Row 7: 4 + 4 convolutions of 7 x 7 with 64 channels."""
    model = models.build("segnet-basic", classes=11, width=64, initialise=False)
    pairs = [(3, 64)] + [(64, 64)] * 7
    assert model.parameter_count() == hand_count(pairs, 7, 64, 11) == 1_416_075
    assert [p.shape[2:] for p in model.parameters() if p.ndim == 4] == [(7, 7)] * 8 + [(1, 1)]
    assert model.output_size((360, 480)) == (360, 480)


def test_row_7_context_of_segnet_basic() -> None:
    """Row 7: the paper's 106 x 106 pixels of context below the fourth pooling."""
    level = [Layer(7, padding=3), Layer(2, stride=2)]
    assert receptive_field(level * 4).size == (106, 106)


# ---------------------------------------------------------------------------------------------------------
# The contract of all models


@pytest.mark.parametrize("name", ["segnet", "segnet-basic"])
@pytest.mark.parametrize("unpool", ["indices", "nearest"])
@pytest.mark.parametrize("size", [(64, 64), (65, 64), (97, 131)])
def test_output_has_the_input_size(name: str, unpool: str, size: tuple[int, int]) -> None:
    """Row 7: unpooling knows the size from before the pooling, so that odd sizes come back."""
    model = models.build(name, in_channels=1, classes=5, width=2, unpool=unpool)
    with no_grad():
        assert model(np.ones((1, 1, *size), np.float32)).shape == (1, 5, *size)
    assert model.output_size(size) == size


def test_a_small_input_is_refused_by_name() -> None:
    model = models.build("segnet", classes=2, width=2)
    assert model.output_size(16) == (16, 16)
    with pytest.raises(ValueError, match="15 x 64, too small for 4 poolings; every size from 16 x 16 up"):
        model(np.ones((1, 3, 15, 64), np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "norm is 'layer'"),
        ({"unpool": "bilinear"}, "unpool is 'bilinear'"),
        ({"convolutions": ()}, "convolutions is empty"),
        ({"convolutions": (2, 0)}, "convolutions is 0"),
    ],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.build("segnet", classes=2, **options)


CASES = [pytest.param(name, id=name) for name in GOLDEN if "deconvnet" not in name]


@pytest.mark.parametrize("name", CASES)
def test_same_as_pytorch(name: str, backend: str) -> None:
    """Row 7: with PyTorch's weights come PyTorch's scores, loss, gradients and running statistics."""
    with use_backend(backend):
        check_same_as_pytorch(GOLDEN[name])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("segnet", {"convolutions": (2, 1)}),
        ("segnet", {"convolutions": (1, 1), "norm": None}),
        ("segnet", {"convolutions": (1, 1), "unpool": "nearest"}),
        ("segnet-basic", {"levels": 2}),
    ],
)
def test_gradients_of_the_whole_model(name: str, options: dict[str, object], fast: str) -> None:
    """Row 7: the backward through convolutions, BatchNorm, pooling and unpooling together is right."""
    model = models.build(name, in_channels=1, classes=2, width=2, dtype="float64", seed=1, **options)
    check_whole_model(model, distinct_values((2, 1, 6, 7)))


@pytest.mark.parametrize("name", ["segnet", "segnet-basic"])
def test_overfits_one_picture(name: str) -> None:
    """Row 7: the small model learns one picture by heart, to a mean IoU of 1."""
    model, labels = models.build(name, classes=3, width=8), disc_and_bar(32)
    picture = coloured(labels, noise=0.05) - np.float32(0.5)
    learn_by_heart(lambda: model(picture), model, labels)
