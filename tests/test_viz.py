"""Pictures: exact pixels of the small ones; axes, texts and equal bytes of the figures."""

import io
import itertools
import math
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from minisegnet import viz
from minisegnet.viz import fonts
from minisegnet.viz.colours import IGNORED
from minisegnet.viz.curves import running_median, spread
from minisegnet.viz.overlay import RIGHT, WRONG
from minisegnet.viz.page import shorten, text_width
from minisegnet.viz.save import png

PALETTE = ((10, 20, 30), (200, 100, 0), (0, 100, 200))
NAMES = ("ground", "cell", "a class with a very long name indeed")
LABELS = np.array([[0, 0, 1], [0, 2, 2]])


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def pixels(figure: Figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))


# ---------------------------------------------------------------------------------------------------------
# Any image


def test_uint8_is_shown_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    rgb = viz.to_rgb(image)
    assert np.array_equal(rgb, image) and not np.shares_memory(rgb, image)
    assert np.array_equal(viz.to_rgb(image[:, :, 0]), np.repeat(image[:, :, :1], 3, axis=2))
    assert np.array_equal(viz.to_rgb(image[:, :, :2])[:, :, :2], image[:, :, :2])
    assert not viz.to_rgb(image[:, :, :2])[:, :, 2].any()
    assert np.array_equal(viz.to_rgb(np.concatenate([image, image], axis=2)), image)


def test_floats_from_0_to_1_are_shown_as_they_are():
    image = np.array([[0, 0.25, 1 / 3, 0.999, 1]], np.float32)
    assert viz.to_rgb(image)[0, :, 0].tolist() == [0, 64, 85, 255, 255]


def test_others_are_stretched():
    ramp = np.arange(101, dtype=np.uint16).reshape(1, -1) + 1000
    shown = viz.to_rgb(ramp)[0, :, 0].astype(int)
    assert (shown[:3] == 0).all() and (shown[-3:] == 255).all() and shown[50] == 128
    assert np.array_equal(viz.to_rgb(ramp.astype(np.float64) * 3 - 9000)[0, :, 0], shown)
    colour = np.stack([ramp, ramp * 0 + 1000, ramp], axis=2)
    assert not viz.to_rgb(colour)[:, :, 1].any()  # three channels share a scale: the flat one stays dark
    assert (viz.to_rgb(np.concatenate([colour, colour], axis=2))[:, :, 1] == 128).all()  # six don't


def test_odd_values():
    assert viz.to_rgb(np.array([[np.nan, 1.0]]))[0, :, 0].tolist() == [0, 255]
    assert viz.to_rgb(np.array([[np.nan, -np.inf, np.inf, 0, 5]]))[0, :, 0].tolist() == [0, 0, 255, 0, 255]
    assert viz.to_rgb(np.full((2, 2), np.nan)).max() == 0
    assert (viz.to_rgb(np.full((2, 2), 7, np.uint16)) == 128).all()
    sparse = np.zeros((20, 20), np.uint16)
    sparse[3, 3] = 9
    assert viz.to_rgb(sparse)[3, 3, 0] == 255  # a single bright pixel isn't lost


@pytest.mark.parametrize(
    ("image", "kind", "text"),
    [
        (np.zeros((1, 3, 4, 4)), ValueError, "picture by picture"),
        (np.zeros(4), ValueError, r"shape \(4,\)"),
        (np.zeros((0, 4, 3)), ValueError, "shape"),
        (np.zeros((2, 2), int), TypeError, "int64"),
        ([[1.0]], TypeError, "list"),
    ],
)
def test_what_is_no_image(image, kind, text):
    with pytest.raises(kind, match=text):
        viz.to_rgb(image)


# ---------------------------------------------------------------------------------------------------------
# Labels


def test_colourise():
    shown = viz.colourise(np.where(LABELS == 2, 255, LABELS).astype(np.uint8), PALETTE, ignore_index=255)
    assert shown.dtype == np.uint8
    assert shown.tolist() == [[[10, 20, 30]] * 2 + [[200, 100, 0]], [[10, 20, 30], [*IGNORED], [*IGNORED]]]


def test_overlay_mixes_and_draws_lines():
    image = np.full((3, 5), 100, np.uint8)
    labels = np.zeros((3, 5), np.int64)
    labels[:, 2:] = 1
    flat, line, tinted = [55, 60, 65], [200, 100, 0], [150, 100, 50]
    row = [flat, flat, line, tinted, tinted]
    assert viz.overlay(image, labels, PALETTE).tolist() == [row] * 3
    plain = viz.overlay(image, labels, PALETTE, outline=False)
    assert plain.tolist() == [[flat, flat, tinted, tinted, tinted]] * 3
    assert np.array_equal(viz.overlay(image, labels, PALETTE, alpha=0, outline=False), viz.to_rgb(image))
    assert np.array_equal(viz.overlay(image, labels, PALETTE, alpha=1), viz.colourise(labels, PALETTE))


def test_overlay_leaves_ignored_pixels_alone():
    image = np.full((1, 4), 100, np.uint8)
    shown = viz.overlay(image, np.array([[0, 255, 1, 1]]), PALETTE, ignore_index=255)
    assert shown[0].tolist() == [[55, 60, 65], [100, 100, 100], [150, 100, 50], [150, 100, 50]]  # and no line


@given(st.integers(0, 2**32 - 1))
def test_lines_are_where_a_neighbour_is_lower(seed):
    labels = np.random.default_rng(seed).integers(0, 3, (6, 7))
    lines = (viz.overlay(np.zeros((6, 7), np.uint8), labels, PALETTE, alpha=0) > 0).any(axis=2)
    padded = np.pad(labels, 1, mode="edge")
    around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
    assert np.array_equal(lines, np.min(around, axis=0) < labels)


def test_error_map():
    predicted = np.array([[0, 1, 1], [0, 2, 0]])
    shown = viz.error_map(LABELS, predicted)
    assert shown.tolist() == [[[*RIGHT], [*WRONG], [*RIGHT]], [[*RIGHT], [*RIGHT], [*WRONG]]]
    shown = viz.error_map(LABELS, predicted, ignore_index=2)
    assert shown[1].tolist() == [[*RIGHT], [*IGNORED], [*IGNORED]]
    image = np.array([[0, 255, 0], [255, 0, 255]], np.uint8)
    shown = viz.error_map(LABELS, predicted, image=image)
    assert shown.tolist() == [[[160] * 3, [*WRONG], [160] * 3], [[240] * 3, [160] * 3, [*WRONG]]]


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: viz.colourise(LABELS, PALETTE[:2]),
            ValueError,
            r"labels holds 2 labels outside 0..1: 2 \(2 times\)",
        ),
        (lambda: viz.colourise(LABELS[None], PALETTE), ValueError, "shape"),
        (lambda: viz.colourise(LABELS * 1.0, PALETTE), TypeError, "float64"),
        (lambda: viz.colourise(LABELS, [(0, 0)]), ValueError, "palette"),
        (lambda: viz.colourise(LABELS, [(0, 0, 256)] * 3), ValueError, "0 to 256"),
        (lambda: viz.colourise(LABELS, [(0.0, 0.0, 1.0)] * 3), ValueError, "palette"),
        (lambda: viz.colourise(LABELS, []), ValueError, "palette"),
        (lambda: viz.overlay(np.zeros((3, 3)), LABELS, PALETTE), ValueError, "image's size"),
        (lambda: viz.overlay(np.zeros((2, 3)), LABELS, PALETTE, alpha=1.5), ValueError, "alpha is 1.5"),
        (lambda: viz.overlay(np.zeros((2, 3)), LABELS, PALETTE, outline=1), TypeError, "outline"),
        (lambda: viz.error_map(LABELS, LABELS[:1]), ValueError, "shape"),
        (lambda: viz.error_map(LABELS, LABELS, image=np.zeros((5, 5))), ValueError, "labels' size"),
        (lambda: viz.legend(["a"], PALETTE), ValueError, "1 names"),
        (lambda: viz.legend("abc", PALETTE), TypeError, "class_names"),
        (lambda: viz.comparison([], NAMES, PALETTE), ValueError, "empty"),
        (lambda: viz.comparison([(LABELS, LABELS)], NAMES, PALETTE), ValueError, "row 0"),
        (lambda: viz.comparison(rows(), NAMES, PALETTE, titles=["a", "b"]), ValueError, "titles"),
        (lambda: viz.feature_maps(np.zeros((1, 2, 3, 3))), ValueError, r"maps\[0\]"),
        (lambda: viz.feature_maps(np.zeros((300, 1, 1))), ValueError, "at most 256"),
        (lambda: viz.feature_maps(np.zeros((2, 2, 2), complex)), TypeError, "complex"),
        (lambda: viz.feature_maps(np.zeros((2, 2, 2)), columns=0), ValueError, "columns"),
        (lambda: viz.confusion(np.eye(2)), TypeError, "float64"),
        (lambda: viz.confusion(np.eye(2, dtype=int), ["one"]), ValueError, "1 names"),
        (lambda: viz.curves([{"step": 1, "loss": "0.5"}], []), TypeError, "loss is '0.5'"),
        (
            lambda: viz.curves([], [{"step": 1, "iou_a": 1, "iou_b": 1}], palette=PALETTE[:1]),
            ValueError,
            "1 colours",
        ),
    ],
)
def test_bad_arguments(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


# ---------------------------------------------------------------------------------------------------------
# Figures


def rows(count: int = 1) -> list:
    return [(np.ones((2, 3, 3)), LABELS, np.minimum(LABELS, 1))] * count


def history(steps: int, evaluations: int, classes: int = 3):
    made = [{"step": i + 1, "loss": 2 / (i + 1), "lr": 0.1, "gradient_norm": 1.0} for i in range(steps)]
    rng = np.random.default_rng(0)
    found = []
    for k in range(evaluations):
        ious = {f"iou_class {c} {'long ' * c}": float(value) for c, value in enumerate(rng.random(classes))}
        found.append({"step": k + 1, "val_loss": 1.0, "miou": float(np.mean(list(ious.values()))), **ious})
    return made, found


FIGURES = {
    "legend": lambda: viz.legend(NAMES, PALETTE),
    "overlay": lambda: viz.overlay_with_legend(np.ones((2, 3)), LABELS, PALETTE, NAMES, title="two"),
    "comparison": lambda: viz.comparison(rows(2), NAMES, PALETTE, titles=["a", "b"]),
    "feature_maps": lambda: viz.feature_maps(np.arange(60.0).reshape(5, 3, 4), title="maps"),
    "shared": lambda: viz.feature_maps(np.arange(60.0).reshape(5, 3, 4), shared=True),
    "confusion": lambda: viz.confusion(np.array([[5, 1, 0], [0, 0, 0], [2, 2, 2]]), NAMES),
    "curves": lambda: viz.curves(*history(50, 5)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_equal_figures_are_equal_bytes(name, tmp_path):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    viz.save(figure, tmp_path / "a.png")
    viz.save(FIGURES[name](), tmp_path / "b.png")
    viz.save(figure, tmp_path / "a again.png")
    first = (tmp_path / "a.png").read_bytes()
    assert first == (tmp_path / "b.png").read_bytes() == (tmp_path / "a again.png").read_bytes()
    assert b"Software" not in first and b"tEXt" not in first and b"tIME" not in first
    assert "matplotlib.pyplot" not in vars(viz)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_leaves_the_sheet(name):
    figure = FIGURES[name]()
    shown = pixels(figure)
    assert (shown[:2] == 255).all() and (shown[-2:] == 255).all()
    assert (shown[:, :2] == 255).all() and (shown[:, -2:] == 255).all()


def test_no_pyplot_and_no_change_of_settings():
    program = (
        "import sys, matplotlib\n"
        "settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()  # asking for the backend would load pyplot\n"
        "import numpy as np; from minisegnet import viz\n"
        "from minisegnet.viz.save import png\n"
        "png(viz.confusion(np.eye(2, dtype=int))); png(viz.curves([], []))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert settings() == before\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_settings_of_the_user_do_not_crop_the_file():
    expected = png(FIGURES["confusion"]())
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 30, "savefig.transparent": True}):
        assert png(FIGURES["confusion"]()) == expected


def test_arrays_are_saved_exactly(tmp_path):
    picture = viz.colourise(LABELS, PALETTE)
    viz.save(picture, tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as image:
        assert np.array_equal(np.asarray(image), picture) and not image.info
    viz.save(picture.transpose(1, 0, 2), str(tmp_path / "turned.PNG"))
    with Image.open(tmp_path / "turned.PNG") as image:
        assert np.array_equal(np.asarray(image), picture.transpose(1, 0, 2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.png", "turned.PNG"]


@pytest.mark.parametrize(
    ("picture", "name", "kind", "text"),
    [
        (np.zeros((2, 2), np.uint8), "a.png", ValueError, "colourise"),
        (np.zeros((2, 2, 3)), "a.png", ValueError, "float64"),
        ("picture", "a.png", TypeError, "str"),
        (np.zeros((2, 2, 3), np.uint8), "a.jpg", ValueError, "png"),
    ],
)
def test_what_is_not_saved(picture, name, kind, text, tmp_path):
    with pytest.raises(kind, match=text):
        viz.save(picture, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_comparison_has_four_pictures_a_row():
    figure = viz.comparison(rows(3), NAMES, PALETTE, titles=["first", "second", "third"])
    assert len(figure.axes) == 12
    found = texts(figure)
    assert found[:4] == ["image", "truth", "prediction", "errors"]
    assert found.count("33.3 % wrong, mIoU of the truth's classes 0.444") == 3  # (1 + 1/3 + 0) / 3
    assert found[-4:] == ["ground", "cell", shorten(NAMES[2]), "wrong"]
    assert {"first", "second", "third"} <= set(found)


def test_comparison_shows_pixels_as_squares():
    shown = pixels(viz.comparison([(np.ones((4, 4)), *[np.diag([0, 1, 2, 0])] * 2)], NAMES, PALETTE))
    cell = 208  # 52 screen pixels for each; the truth is the second picture
    truth = shown[28 + 1 : 28 + cell - 1, 12 + cell + 8 + 1 : 12 + 2 * cell + 8 - 1]
    assert set(map(tuple, truth.reshape(-1, 3).tolist())) == set(PALETTE)
    assert (truth[53:102, 53:102] == PALETTE[1]).all()


def test_comparison_of_ignored_pixels():
    truth = np.where(LABELS == 2, 255, LABELS)
    figure = viz.comparison([(np.ones((2, 3)), truth, LABELS)], NAMES, PALETTE, ignore_index=255)
    caption = "0.0 % wrong, mIoU of the truth's classes 1.000"
    assert texts(figure)[4:] == [caption, *map(shorten, NAMES), "wrong", "ignored"]
    figure = viz.comparison([(np.ones((2, 3)), LABELS * 0 + 255, LABELS)], NAMES, PALETTE, ignore_index=255)
    assert texts(figure)[4] == "no pixel counts"


def test_a_stray_pixel_of_an_absent_class_does_not_ruin_the_score():
    truth = np.zeros((10, 10), int)
    stray = truth.copy()
    stray[4, 4] = 2
    figure = viz.comparison([(np.ones((10, 10)), truth, stray)], NAMES, PALETTE)
    assert texts(figure)[4] == "1.0 % wrong, mIoU of the truth's classes 0.990"


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3), (700, 500)])
def test_pictures_of_any_shape(size):
    labels = np.zeros(size, int)
    figure = viz.comparison([(np.ones(size), labels, labels), *rows()], NAMES, PALETTE)
    height, width = pixels(figure).shape[:2]
    assert width < 1000 and height < 1000
    overlay = pixels(viz.overlay_with_legend(np.ones(size), labels, PALETTE, NAMES, title="of any shape"))
    maps = pixels(viz.feature_maps(np.ones((2, *size)), shared=True))
    assert max(*overlay.shape, *maps.shape) < 800


def test_feature_maps():
    maps = np.random.default_rng(0).normal(size=(11, 4, 6)).astype(np.float32)
    maps[3], maps[7, 0, 0] = 0, np.nan
    figure = viz.feature_maps(maps, columns=4)
    assert len(figure.axes) == 11
    assert texts(figure)[:11] == ["0", "1", "2", "3  all 0", "4", "5", "6", "7  not finite", "8", "9", "10"]
    assert len(viz.feature_maps(maps, shared=True).axes) == 12  # and the bar
    limits = [axes.images[0].get_clim() for axes in viz.feature_maps(maps, shared=True).axes[:11]]
    assert len(set(limits)) == 1 and limits[0][0] == np.nanmin(maps)
    assert len({axes.images[0].get_clim() for axes in figure.axes}) > 5
    for odd in (np.full((1, 2, 2), np.nan), np.full((1, 2, 2), np.inf), np.eye(2, dtype=bool)[None]):
        png(viz.feature_maps(odd))
        png(viz.feature_maps(odd, shared=True))


def test_the_bar_ends_where_the_values_end():
    bar = viz.feature_maps(np.linspace(-3, 4.2, 12).reshape(3, 2, 2), shared=True).axes[-1]
    assert bar.get_ylim() == pytest.approx((-3, 4.2))
    assert all(-3 <= tick <= 4.2 for tick in bar.get_yticks())


def test_confusion():
    figure = viz.confusion(np.array([[999_999, 1, 0], [0, 0, 0], [1, 1, 2]]), NAMES)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [">99.9", "<0.1", "25.0", "25.0", "50.0"]
    colours = axes.images[0].get_array()
    assert (colours[1] == 0.9).all()  # the absent class's row is grey
    assert colours[0, 0, 2] > colours[0, 0, 0] and colours[2, 0, 0] > colours[2, 0, 2]  # blue and vermilion
    assert {"1,000,000", "0", "4", "truth", "predicted"} <= set(texts(figure))


@pytest.mark.parametrize("classes", [1, 2, 10, 30])
def test_confusion_of_many_classes(classes):
    matrix = np.arange(classes * classes).reshape(classes, classes)
    figure = viz.confusion(matrix)
    assert len(figure.axes[0].texts) == np.count_nonzero(matrix)
    assert (pixels(figure)[:, -2:] == 255).all()


def test_curves():
    figure = viz.curves(*history(200, 10))
    losses, ious = figure.axes
    assert [line.get_label() for line in losses.lines] == [
        "training, each step",
        "training, running median",
        "validation",
    ]
    assert len(ious.lines) == 1 + 1 + 3  # the mean, its ring, the classes
    _, evaluations = history(200, 10)
    best = max(evaluations, key=lambda row: row["miou"])
    assert texts(figure)[:2] == ["Loss", f"Mean IoU: best {best['miou']:.3f} at step {best['step']}"]
    assert texts(figure)[2].startswith("mean  ") and len(figure.texts) == 2 + 1 + 3


@pytest.mark.parametrize(("steps", "evaluations"), [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (20_000, 300)])
def test_curves_of_any_length(steps, evaluations):
    shown = pixels(viz.curves(*history(steps, evaluations)))
    assert (shown[:, -2:] == 255).all()
    figure = viz.curves(*history(steps, evaluations))
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert ("no step yet" in said) == (steps == 0 and evaluations == 0)
    assert ("no evaluation yet" in said) == (evaluations == 0)


def test_curves_with_missing_values():
    steps, evaluations = history(30, 4)
    steps[3]["loss"], steps[4]["loss"], steps[5]["loss"] = math.nan, None, math.inf
    evaluations[1]["miou"] = math.nan
    del evaluations[2]["val_loss"]
    for row in evaluations:
        row["iou_ghost"] = None
    figure = viz.curves(steps, evaluations)
    pixels(figure)
    assert not any(text.startswith("ghost") for text in texts(figure))
    for row in (*steps, *evaluations):
        row.update(loss=math.nan, val_loss=math.nan, miou=None)
    said = [text.get_text() for axes in viz.curves(steps, evaluations).axes for text in axes.texts]
    assert said == ["no loss is a number", "no mean IoU is a number"]
    pixels(viz.curves(steps, evaluations))


def above(figure: Figure) -> list[tuple[str, float]]:
    """What is written above the panel of losses, with the steps of the triangles."""
    losses = figure.axes[0]
    triangles = [line.get_xdata()[0] for line in losses.lines if line.get_marker() == "^"]
    return list(zip([text.get_text() for text in losses.texts], triangles, strict=True))


@pytest.mark.parametrize("evaluations", [1, 2, 3, 10])
def test_a_validation_loss_far_above_the_others(evaluations):
    steps, found = history(40, evaluations)
    highest = viz.curves(steps, found[1:]).axes[0].get_ylim()[1]
    found[0]["val_loss"] = 1583.875
    figure = viz.curves(steps, found)
    assert figure.axes[0].get_ylim()[1] == highest < 3
    assert above(figure) == [("1,584", 1)]
    legend = figure.axes[0].get_legend()
    assert len(legend.get_texts()) == 3
    pixels(figure)


def test_losses_that_fall_far_are_all_seen():
    steps, found = history(0, 20)
    for k, row in enumerate(found):
        row["val_loss"] = 10 * 0.8**k
    figure = viz.curves(steps, found)
    assert figure.axes[0].get_ylim()[1] == pytest.approx(10.5) and not above(figure)
    steps = [{"step": k + 1, "loss": 0.05 + 2 * 0.9**k} for k in range(400)]  # p90 is 0.08
    figure = viz.curves(steps, found)
    assert figure.axes[0].get_ylim()[1] == pytest.approx(10.5) and not above(figure)
    assert 1.5 < viz.curves(steps, []).axes[0].get_ylim()[1] < 3
    steps[0]["loss"] = 800.0
    assert viz.curves(steps, []).axes[0].get_ylim()[1] < 3
    assert above(viz.curves(steps, [])) == [("800", 1)]


def test_losses_of_zero_leave_room():
    steps, found = history(0, 20)
    for k, row in enumerate(found):
        row["val_loss"] = 0.0 if k else 5.0
    assert viz.curves(steps, found).axes[0].get_ylim()[1] == pytest.approx(5.25)


def test_neighbours_far_above_are_written_side_by_side():
    steps, found = history(200, 10)
    steps[0]["loss"], found[1]["val_loss"], found[0]["val_loss"] = 12345.6, 500.0, 1583.875
    figure = viz.curves(steps, found)
    assert above(figure) == [("1.235e+04", 1), ("1,584", 1)]
    figure.dpi = 110
    png(figure)
    first, second = (text.get_window_extent() for text in figure.axes[0].texts)
    title = figure.texts[0].get_window_extent()
    assert first.x1 < second.x0 and first.x0 > 0
    assert title.y0 >= first.y1 - 2


def test_thirty_labels_do_not_touch():
    figure = viz.curves(*history(100, 8, classes=30))
    figure.dpi = 110
    png(figure)
    labels = [text.get_window_extent() for text in figure.texts[2:]]
    assert len(labels) == 31
    tops = sorted((box.y0, box.y1) for box in labels)
    assert all(above[0] >= below[1] - 2 for below, above in itertools.pairwise(tops))
    assert all(box.x1 <= figure.bbox.x1 for box in labels)


@given(st.lists(st.floats(-50, 150), max_size=12))
def test_spread(places):
    moved = spread(places, 5, 0, 100)
    order = np.argsort(np.array(places), kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert (gaps >= 5 - 1e-9).all()
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in moved)
    if all(0 <= place <= 100 for place in places) and (np.diff(np.sort(places)) > 5).all():
        np.testing.assert_allclose(moved, places)


@given(st.lists(st.floats(0, 10) | st.just(math.nan), max_size=200))
def test_running_median(values):
    x, median = running_median(np.arange(len(values)), np.array(values, np.float64))
    finite = [value for value in values if math.isfinite(value)]
    assert len(x) == len(median) == len(finite)
    if finite:
        assert min(finite) <= median.min() and median.max() <= max(finite)
    assert (np.diff(x) > 0).all()


def test_running_median_of_a_line_is_the_line_away_from_its_ends():
    x, median = running_median(np.arange(2000), np.arange(2000.0))
    assert len(x) == 300
    inner = (x > 50) & (x < 1950)
    assert np.array_equal(median[inner], x[inner])


def test_names_are_taken_literally():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = viz.legend(["$x_1$ \\alpha", "two\nlines", "_hidden"], PALETTE)
        png(figure)
    assert texts(figure) == ["$x_1$ \\alpha", "two lines", "_hidden"]
    assert not any(text.get_parse_math() for text in figure.texts)
    png(viz.curves([], [{"step": 1, "miou": 0.5, "iou_$\\bad{": 0.5}]))
    png(viz.confusion(np.eye(2, dtype=int), ["$\\bad{", "%"]))


# ---------------------------------------------------------------------------------------------------------
# Letters that matplotlib's own font lacks

KOREAN = ("하늘", "tree", "도로")


@pytest.fixture
def only_first(monkeypatch):
    """A machine without fonts but matplotlib's own, where nothing has been said yet."""
    found = [font for font in font_manager.fontManager.ttflist if font.name == fonts.FIRST]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", found)
    monkeypatch.setattr(fonts, "_told", [])
    return found


def make_font(path, family: str, letters: str, weight: int = 400) -> font_manager.FontEntry:
    """Write a font in which each of the letters is a black square."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in [(100, 800), (900, 800), (900, 0)]:
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(letter): "square" for letter in letters})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 100)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=weight)
    builder.setupPost()
    builder.save(path)
    return font_manager.FontEntry(
        fname=str(path), name=family, style="normal", weight=weight, stretch="normal"
    )


def test_letters_are_drawn_with_a_font_that_has_them(only_first, tmp_path):
    names = (
        f"{tmp_path.name} {kind}" for kind in ("empty", "sky", "road", "all")
    )  # matplotlib remembers names
    kept = [
        make_font(tmp_path / f"{k}.ttf", name, letters)
        for k, (name, letters) in enumerate(zip(names, ["가", "하늘", "도로", "도로늘하"], strict=True))
    ]
    only_first += kept[:3]
    assert fonts.missing(KOREAN) == ""
    figure = viz.legend(KOREAN, PALETTE)
    assert texts(figure) == [*KOREAN]
    families = [text.get_fontfamily() for text in figure.texts]
    assert families == [[fonts.FIRST, kept[1].name], [fonts.FIRST], [fonts.FIRST, kept[2].name]]
    row = pixels(figure)[6:25, 8 + 12 + 5 :]
    assert (row[8:12, 3:9] == 0x22).all()  # the first letter is a square of ink
    assert fonts.families("하늘도로") == [fonts.FIRST, kept[2].name, kept[1].name]  # by name
    only_first += kept[3:]
    assert fonts.families("하늘도로") == [fonts.FIRST, kept[3].name]  # one font is better than two
    assert (
        texts(viz.legend(["\u1112\u1161\u1102\u1173\u11af"] * 3, PALETTE)) == ["하늘"] * 3
    )  # a Mac's file name


def test_which_font_is_asked_first(only_first, tmp_path):
    letters = "하늘도로"
    names = ["A Last Resort", "Any", "B Color Emoji", "Noto Sans CJK KR", "Nanum Gothic", "Unifont"]
    for k, name in enumerate(names):
        only_first.append(make_font(tmp_path / f"{k}.ttf", f"{name} {tmp_path.name}", letters))
    only_first.append(make_font(tmp_path / "light.ttf", f"Noto Sans CJK KR A {tmp_path.name}", letters, 200))
    (tmp_path / "3.ttf").write_bytes(b"damaged")
    expected = ["Nanum Gothic", "Unifont", "Any"]
    for name in expected:
        (_, found) = fonts.families(letters)
        assert found == f"{name} {tmp_path.name}"
        only_first[:] = [font for font in only_first if font.name != found]
    assert fonts.families(letters) == [fonts.FIRST]


def test_without_a_font_classes_have_numbers_and_this_is_said_once(only_first):
    rows = [(np.ones((2, 3)), LABELS, LABELS)]
    evaluations = [{"step": 1, "miou": 0.5, "iou_하늘": 0.25, "iou_tree": 0.75}]
    with pytest.warns(UserWarning, match="install the font Noto Sans CJK") as said:
        figures = [
            viz.comparison(rows, KOREAN, PALETTE, titles=["사진 1.png"]),
            viz.legend(KOREAN, PALETTE),
            viz.overlay_with_legend(np.ones((2, 3)), LABELS, PALETTE, KOREAN, title="사진 \udcff"),
            viz.confusion(np.eye(3, dtype=int), KOREAN),
            viz.curves([], evaluations),
        ]
        for figure in figures:
            png(figure)
    assert len(said) == 1 and "'늘', '도', '로', '하'" in str(said[0].message)
    assert texts(figures[0])[-5:] == ["?? 1.png", "class 0", "tree", "class 2", "wrong"]
    assert texts(figures[1]) == ["class 0", "tree", "class 2"]
    assert texts(figures[2]) == ["?? ?", "class 0", "tree", "class 2"]
    assert texts(figures[3]).count("class 2") == 2
    assert texts(figures[4])[-2:] == ["class 0  0.250", "tree  0.750"]


def test_no_font_is_looked_for_without_need(monkeypatch):
    monkeypatch.setattr(fonts, "_plain", None)
    names = ["ciel d'été", "Straße", "трава"]
    assert texts(viz.legend(names, PALETTE)) == names
    for make in FIGURES.values():
        make()


def test_shorten():
    assert shorten("short") == "short"
    assert len(shorten("x" * 99, 10)) == 10
    assert shorten("beginning-and-end", 9) == "begi…-end"
    assert shorten("가나다라마바사아자차카타", 11) == "가나…카타"  # wide letters: fewer of them
    assert all(text_width(shorten("가 a" * 20, most)) <= text_width("x" * most) for most in range(4, 40))
