"""Tracing a model, laying it out, drawing it; the kernels that compute shapes only."""

import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from op_table import TABLE, Call, examples

from minisegnet import functional, models, nn, no_grad, ops
from minisegnet.autograd import Tensor
from minisegnet.models import shapes
from minisegnet.models.draw import Block, _plan, draw, trace


class Small(nn.Module):
    """A level down and up again, with a sum across, indices, and a concatenation if asked for."""

    def __init__(self, join: str) -> None:
        self.in_channels, self.classes, self.join = 2, 3, join
        self.first = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.unpool = nn.MaxUnpool2d()
        self.across = nn.Conv2d(4, 4, 1)
        self.up = nn.ConvTranspose2d(4, 4, 1)
        self.last = nn.Conv2d(8 if join == "concat" else 4, 4, 1)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Any:
        wide = self.first(x)
        y, indices = self.pool(wide)
        y = self.unpool(self.drop(self.middle(y)), indices, wide.shape[2:])
        if self.join == "concat":
            return self.head(self.last(functional.concat([wide, y])))
        return self.head(self.last(self.up(y + self.across(wide))))


def by_name(blocks: list[Block]) -> dict[str, Block]:
    return {block.name: block for block in blocks}


def test_a_trace_tells_what_each_layer_did() -> None:
    blocks = trace(Small("sum"), (10, 6))
    assert [(b.name, b.kind, b.channels, b.size, b.parameters) for b in blocks] == [
        ("first.0", "convolution", 4, (10, 6), 76),
        ("first.1", "normalisation", 4, (10, 6), 8),
        ("first.2", "activation", 4, (10, 6), 0),
        ("pool", "pooling", 4, (5, 3), 0),
        ("middle", "convolution", 4, (5, 3), 148),
        ("drop", "dropout", 4, (5, 3), 0),
        ("unpool", "unpooling", 4, (10, 6), 0),
        ("across", "convolution", 4, (10, 6), 20),
        ("up", "transposed convolution", 4, (10, 6), 20),
        ("last", "convolution", 4, (10, 6), 20),
        ("head", "scores", 3, (10, 6), 15),
    ]


def test_a_trace_tells_what_each_map_was_made_from() -> None:
    blocks = trace(Small("sum"), 8)
    made_from = {b.name: [blocks[i].name for i in b.inputs] for b in blocks}
    assert made_from["first.0"] == []  # the picture
    assert made_from["pool"] == ["first.2"]
    assert made_from["unpool"] == ["middle"]  # dropout does nothing in evaluation
    assert made_from["across"] == ["first.2"]
    assert made_from["up"] == ["unpool", "across"]
    (unpool,) = (b for b in blocks if b.kind == "unpooling")
    assert unpool.indices_from is not None and blocks[unpool.indices_from].name == "pool"


def test_a_trace_leaves_the_model_as_it_was() -> None:
    model = Small("sum")
    model.pool.eval()
    before = {name: (dict(vars(m)), m.training) for name, m in model.named_modules()}
    state = model.state_dict()
    trace(model, 8)
    with pytest.raises(ValueError, match="channels"):
        trace(model, 8, in_channels=4)
    for name, module in model.named_modules():
        attributes, training = before[name]
        assert module.training == training
        assert vars(module).keys() - {"training"} == attributes.keys() - {"training"}
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(a, state[name])


def test_a_trace_works_under_no_grad_and_with_any_backend() -> None:
    expected = trace(Small("concat"), 8)
    with no_grad(), ops.use_backend("numpy"):
        assert trace(Small("concat"), 8) == expected
        assert ops.current_backend() == "numpy"


def test_shared_layers_are_noted_at_every_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Conv2d(1, 1, 3)
            self.again = self.layer

        def forward(self, x: Tensor) -> Any:
            return self.again(self.layer(x))

    assert [(b.name, b.size, b.inputs) for b in trace(Twice(), 9, 1)] == [
        ("layer", (7, 7), ()),
        ("layer", (5, 5), (0,)),
    ]


def test_a_trace_needs_to_know_the_channels() -> None:
    with pytest.raises(TypeError, match="in_channels is None"):
        trace(nn.Sequential(nn.Conv2d(1, 1, 1)), 8)


# ---------------------------------------------------------------------------------------------------------
# The plan


def test_sums_make_a_line_and_concatenations_a_u() -> None:
    line, u = _plan(trace(Small("sum"), 16)), _plan(trace(Small("concat"), 16))
    assert [box.side for box in line.boxes] == [False] * 4 + [True] + [False] * 3
    assert len(line.sums) == 1 and line.boxes[4].block.name == "across"
    assert line.boxes[4].bottom > line.boxes[3].top
    assert sum(link.dashed for link in line.links) == 1
    copied = [box for box in u.boxes if box.copied]
    assert [(box.block.name, box.copied and box.copied.block.name) for box in copied] == [
        ("unpool", "first.0")
    ]
    assert [box.level for box in u.boxes] == [0, 1, 1, 0, 0, 0]
    assert u.boxes[1].top < u.boxes[0].bottom


@pytest.mark.parametrize("join", ["sum", "concat"])
def test_boxes_follow_sizes_and_channels_and_do_not_overlap(join: str) -> None:
    boxes = _plan(trace(Small(join), 32)).boxes
    for one in boxes:
        for other in boxes:
            if one.block.size[0] > other.block.size[0]:
                assert one.height > other.height
            if one.block.channels > other.block.channels:
                assert one.width > other.width
            if one is not other:
                beside = one.right <= other.x or other.right <= one.x
                assert beside or one.top <= other.bottom or other.top <= one.bottom


def test_a_model_without_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(nn.Sequential(nn.ReLU()), 8, 1)


# ---------------------------------------------------------------------------------------------------------
# The picture


@pytest.mark.parametrize("join", ["sum", "concat"])
def test_a_picture_shows_channels_sizes_and_kinds(join: str) -> None:
    figure = draw(Small(join), (16, 24), title="My model")
    words = [text.get_text() for text in [*figure.texts, *figure.axes[0].texts]]
    assert "My model" in words and "16 × 24" in words and "8 × 12" in words and "4" in words
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"convolution", "pooling", "unpooling", "scores"} <= set(legend)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    assert file.getvalue().startswith(b"\x89PNG")


def load_figures() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "make_figures.py"
    spec = importlib.util.spec_from_file_location("make_figures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE_FIGURES = load_figures()
PARAMETERS = {"fcn": 134_376_863, "unet": 31_030_658}  # the paper's, as the models' own tests check


@pytest.mark.parametrize("figure", MAKE_FIGURES.FIGURES, ids=lambda figure: figure[0])
def test_the_docs_figures_show_the_papers_models(figure: Any) -> None:
    file, title, name, size, options = figure
    model = models.build(name, initialise=False, **options)
    assert model.parameter_count() == PARAMETERS.get(file, model.parameter_count())
    blocks = trace(model, size)
    drawn = [block for block in blocks if block.kind != "other"]
    assert sum(block.parameters for block in drawn) == model.parameter_count()
    assert blocks[-1].channels == options["classes"]
    assert draw(model, size, title=title).texts[0].get_text() == title
    picture = MAKE_FIGURES.FOLDER / f"{file}.png"
    assert picture.exists() and picture.stat().st_size < 250_000


def test_the_papers_u_net_has_the_papers_sizes() -> None:
    """SYSTEMS.md row 9: 568, 280, 136, 64 on the way, 28 at the bottom, 388 out, 23 convolutions."""
    model = models.build("unet", in_channels=1, classes=2, width=64, padding="valid", initialise=False)
    blocks = trace(model, 572)
    before_pooling = [
        blocks[i - 1].size[0] for i, b in enumerate(blocks) if b.kind == "pooling"
    ]  # dropout keeps the size
    assert before_pooling == [568, 280, 136, 64]
    assert min(b.size[0] for b in blocks) == 28 and blocks[-1].size == (388, 388)
    kinds = [b.kind for b in blocks]
    assert sum(kinds.count(kind) for kind in ("convolution", "transposed convolution", "scores")) == 23


# ---------------------------------------------------------------------------------------------------------
# The kernels


NO_SHAPES = {
    "bce_with_logits",
    "nms",
    "roi_align",
    "roi_pool",
    "softmax_cross_entropy",
}  # no model calls them


def test_there_are_kernels_for_all_that_models_call() -> None:
    assert {op for op in TABLE if not hasattr(shapes, op)} == NO_SHAPES


@pytest.mark.parametrize("op", sorted(set(TABLE) - NO_SHAPES))
def test_shapes_are_those_of_the_real_kernels(op: str) -> None:
    @settings(max_examples=examples(12))
    @given(TABLE[op].calls(np.float32, True))
    def check(call: Call) -> None:
        with ops.use_backend("numpy"):
            expected = call.outputs()
        with ops.use_backend(shapes):
            found = call.outputs()
        for a, e in zip(found, expected, strict=True):
            assert (a is None) == (e is None)
            assert a is None or (a.shape, a.dtype) == (e.shape, e.dtype)

    check()
