"""Draw a model's architecture from the model itself: run it once, note what happened, draw a box for each layer.

Nothing is drawn that the model didn't do. The sizes are those of its maps; the arrows are read off the tape,
which knows what each map was made from.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from minisegnet import nn
from minisegnet.autograd import Node, Tensor
from minisegnet.models import shapes
from minisegnet.ops import use_backend
from minisegnet.sizes import IntOrPair, Pair, as_int, as_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "convolution",
    nn.ConvTranspose2d: "transposed convolution",
    nn.MaxPool2d: "pooling",
    nn.AvgPool2d: "pooling",
    nn.MaxUnpool2d: "unpooling",
    nn.Upsample: "upsampling",
    nn.Linear: "dense",
    nn.BatchNorm2d: "normalisation",
    nn.Dropout: "dropout",
    nn.ReLU: "activation",
    nn.LeakyReLU: "activation",
    nn.Sigmoid: "activation",
}

# What gets a box, and its colour: Okabe and Ito's, which people with any kind of colour vision can tell apart.
COLOURS = {
    "convolution": "#7cc3ee",
    "pooling": "#d55e00",
    "unpooling": "#e69f00",
    "transposed convolution": "#009e73",
    "upsampling": "#f0e442",
    "dense": "#0072b2",
    "scores": "#cc79a7",
}
INK, QUIET = "#222222", "#5a5a5a"


@dataclass(frozen=True)
class Block:
    """What one layer did in one forward.

    ``channels`` and ``size`` are those of its output. ``inputs`` are the positions, in the list of blocks, of
    those that its input was made from (of several, where maps were added or put side by side). ``indices_from`` is
    the pooling whose indices an unpooling used.
    """

    name: str
    kind: str
    channels: int
    size: Pair
    parameters: int
    inputs: tuple[int, ...] = ()
    indices_from: int | None = None


# ---------------------------------------------------------------------------------------------------------
# Tracing


def trace(model: nn.Module, size: IntOrPair, in_channels: int | None = None) -> list[Block]:
    """Run a model once, in evaluation, and list what its layers did, in the order of their calls.

    It runs on kernels that compute shapes only (``minisegnet/models/shapes.py``), so that the size may be the
    paper's, and the weights may be uninitialised.

    Parameters
    ----------
    model
        Any model whose layers are modules. It is left as it was.
    size
        (H, W) of the input.
    in_channels
        Channels of the input; None: ``model.in_channels``.

    Examples
    --------
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2))
    >>> for block in trace(model, 64, 1):
    ...     print(block.name, block.kind, block.channels, block.size, block.parameters)
    0 convolution 8 (62, 62) 80
    1 activation 8 (62, 62) 0
    2 pooling 8 (31, 31) 0
    """
    if in_channels is None:
        in_channels = getattr(model, "in_channels", None)
    shape = 1, as_int(in_channels, "in_channels", 1), *as_pair(size, "size", 1)
    parameter = next(model.parameters(), None)
    x = Tensor(np.zeros(shape, np.float32 if parameter is None else parameter.dtype), requires_grad=True)
    record = _Record(getattr(model, "classes", None))

    def run() -> None:
        with _evaluation(model), _watched(model, record), use_backend(shapes):
            model(x)

    Context().run(run)  # a fresh context: the tape records, even if the caller is under no_grad()
    return record.blocks


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Switch to evaluation, and afterwards every module back to what it was."""
    before = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def _watched(model: nn.Module, record: "_Record") -> Iterator[None]:
    """Have every forward of a leaf module noted: one that isn't made of other modules."""
    watched: list[Any] = []
    for name, module in model.named_modules():
        if module not in watched and next(module.named_children(), None) is None:
            # An attribute of the object hides the method of its class, until it is deleted.
            vars(module)["forward"] = record.watch(name, module)
            watched.append(module)
    try:
        yield
    finally:
        for module in watched:
            del module.forward


class _Record:
    """The blocks so far, and which of them made what."""

    def __init__(self, classes: int | None) -> None:
        self.classes = classes
        self.blocks: list[Block] = []
        self.made: dict[Node, int] = {}  # which block a node on the tape belongs to
        self.indices: list[tuple[Any, int]] = []  # index arrays, and the poolings that they come from

    def watch(self, name: str, module: nn.Module) -> Callable[..., Any]:
        """Wrap a module's forward."""
        forward = module.forward

        def noted(*inputs: Any, **options: Any) -> Any:
            result = forward(*inputs, **options)
            self.note(name, module, inputs, result)
            return result

        return noted

    def note(self, name: str, module: nn.Module, inputs: tuple[Any, ...], result: Any) -> None:
        """Add a block."""
        y, *others = result if isinstance(result, tuple) else (result,)
        number = len(self.blocks)
        size = (y.shape[2], y.shape[3]) if y.ndim == 4 else (1, 1)
        self.blocks.append(
            Block(
                name=name,
                kind=self._kind(module, inputs[0], y),
                channels=y.shape[1] if y.ndim == 4 else y.shape[-1],
                size=size,
                parameters=module.parameter_count(),
                inputs=tuple(sorted({i for x in inputs if isinstance(x, Tensor) for i in self._makers(x)})),
                indices_from=self._pooling(inputs) if isinstance(module, nn.MaxUnpool2d) else None,
            )
        )
        if y.node is not None:
            self.made.setdefault(y.node, number)  # what hands its input on unchanged has made nothing
        self.indices += [(other, number) for other in others]

    def _kind(self, module: nn.Module, x: Tensor, y: Tensor) -> str:
        pointwise = isinstance(module, nn.Conv2d) and module.weight.shape[2:] == (1, 1)
        if y.shape[1] == self.classes and (pointwise or isinstance(module, nn.Linear)):
            return "scores"
        for kind, word in KINDS.items():
            if isinstance(module, kind):
                return word
        if y.ndim == 4 and y.shape[2] * y.shape[3] > x.shape[2] * x.shape[3]:
            return "upsampling"  # a model's own
        return "other"

    def _makers(self, x: Tensor) -> set[int]:
        """Walk back along the tape, from x to the blocks that it was made from."""
        found: set[int] = set()
        waiting: list[Any] = [x.node]
        while waiting:
            node = waiting.pop()
            if node in self.made:
                found.add(self.made[node])
            elif isinstance(node, Node):  # a sum, a crop, a concatenation: whatever is no module
                waiting += node.inputs
        return found

    def _pooling(self, inputs: tuple[Any, ...]) -> int | None:
        return next((number for array, number in self.indices for x in inputs if x is array), None)


# ---------------------------------------------------------------------------------------------------------
# Laying out


@dataclass
class Box:
    """A block's place in the picture. x is its left edge, y its middle; units are about one box."""

    block: Block
    sources: list[int]  # positions in the list of boxes
    indices_from: int | None
    level: int  # how often the map was made smaller
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    side: bool = False  # above the line, on the way of a skip
    copied: "Box | None" = None  # the box whose map is put to the left of this one's

    @property
    def top(self) -> float:
        """Upper edge."""
        return self.y + self.height / 2

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y - self.height / 2

    @property
    def middle(self) -> float:
        """Horizontal middle."""
        return self.x + self.width / 2

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width


@dataclass
class Link:
    """A line through points, with an arrowhead at its end."""

    points: list[tuple[float, float]]
    colour: str
    dashed: bool = False
    words: str = ""


@dataclass
class Plan:
    """Everything that is to be drawn."""

    boxes: list[Box]
    depth: float  # of boxes, for their height; 0: flat
    links: list[Link] = field(default_factory=list)
    sums: list[tuple[float, float]] = field(default_factory=list)


def _plan(blocks: list[Block]) -> Plan:
    boxes = _boxes(blocks)
    if not boxes:
        raise ValueError("there is nothing to draw: the model called no layer that gets a box")
    # Maps are put side by side in front of a convolution (U-Net), and added in front of anything else (FCN).
    if any(box.block.kind == "convolution" and len(box.sources) > 1 for box in boxes):
        return _u_plan(boxes)
    return _line_plan(boxes)


def _boxes(blocks: list[Block]) -> list[Box]:
    """Make boxes of the blocks that get one, and link them past those that don't."""
    shown = [i for i, block in enumerate(blocks) if block.kind in COLOURS]
    position = {i: k for k, i in enumerate(shown)}

    def sources(i: int) -> set[int]:
        found: set[int] = set()
        for j in blocks[i].inputs:
            found |= {position[j]} if j in position else sources(j)
        return found

    boxes: list[Box] = []
    level = 0
    for i in shown:
        block = blocks[i]
        if block.kind == "pooling":
            level += 1
        elif boxes and block.size[0] > 1.5 * boxes[-1].block.size[0]:
            level -= 1
        link = None if block.indices_from is None else position[block.indices_from]
        width = 0.35 + 0.11 * math.log2(block.channels)
        boxes.append(Box(block, sorted(sources(i)), link, level, width, math.sqrt(block.size[0])))
    return boxes


def _scale_heights(boxes: list[Box], tallest: float) -> None:
    largest = max(box.height for box in boxes)
    for box in boxes:
        box.height = max(0.5, box.height / largest * tallest)


# A line


def _line_plan(boxes: list[Box]) -> Plan:
    """From left to right; a layer on a skip (which doesn't read the layer before it) stands above the line."""
    plan = Plan(boxes, depth=0.07)
    for i in range(1, len(boxes) - 1):
        boxes[i].side = i - 1 not in boxes[i].sources and {i - 1, i} <= set(boxes[i + 1].sources)
    line = [box for box in boxes if not box.side]
    _scale_heights(boxes, max(3.0, 0.3 * sum(box.width for box in line)))
    for before, box in pairwise(line):
        if len(box.sources) > 1:
            gap = 1.6  # room for the sum
        elif before.block.size == box.block.size:
            gap = 0.2
        else:
            gap = 0.3 + plan.depth * before.height
        box.x = before.right + gap
    for i, box in enumerate(boxes):
        if box.side:
            before, after = boxes[i - 1], boxes[i + 1]
            place = (before.right + after.x) / 2
            box.x = place - box.width / 2
            box.y = max(before.top, after.top if after is not line[-1] else 0) + 1.6 + box.height / 2
            plan.sums.append((place, before.y))
            plan.links.append(Link([(box.middle, box.bottom), (place, before.y + 0.36)], INK))
            plan.links.append(Link([(before.right, before.y), (after.x, after.y)], INK))
    _line_links(plan)
    return plan


def _line_links(plan: Plan) -> None:
    """Lead skips and indices over the boxes between, the shortest lowest."""
    boxes = plan.boxes
    wanted = []
    for i, box in enumerate(boxes):
        if box.indices_from is not None:
            wanted.append((i - box.indices_from, box.indices_from, i, True))
        behind = {i - 1, i - 2} if i and boxes[i - 1].side else {i - 1}
        wanted += [(i - j, j, i, False) for j in box.sources if j not in behind]
    paths: list[tuple[float, float, float]] = []
    for _, start, stop, dashed in sorted(wanted):
        source, target = boxes[start], boxes[stop]
        left, right = (box.middle + plan.depth * box.height / 2 for box in (source, target))
        y = max(_label_top(box, plan) for box in boxes[start : stop + 1]) + 0.5
        y = max([y, *(height + 0.45 for a, b, height in paths if a < right and left < b)])
        paths.append((left, right, y))
        points = [(left, _label_top(source, plan)), (left, y), (right, y), (right, _label_top(target, plan))]
        plan.links.append(Link(points, QUIET if dashed else INK, dashed))


def _label_top(box: Box, plan: Plan) -> float:
    """Where the number of channels above a box ends."""
    return box.top + plan.depth * box.height + 0.75


# A U


def _u_plan(boxes: list[Box]) -> Plan:
    """Down the left side of a U and up its right side, a row for each level."""
    plan = Plan(boxes, depth=0.0)
    for i, box in enumerate(boxes[1:]):
        across = [j for j in box.sources if j != i]
        if across and i in box.sources:  # box i's map, and one from further back
            boxes[i].copied = boxes[across[0]]
    for before, box in pairwise(boxes):
        if box.level > before.level:
            box.x = before.x  # right below the map that it was pooled from
        else:
            box.x = before.right + (0.9 if box.level < before.level else 0.25)
            box.x += box.copied.width if box.copied else 0
    _scale_heights(boxes, 0.17 * boxes[-1].right)
    top = 0.0
    for level in sorted({box.level for box in boxes}):
        row = [box for box in boxes if box.level == level]
        tallest = max(box.height for box in row)
        for box in row:
            box.y = top - tallest / 2
        top -= tallest + 2.4
    for before, box in pairwise(boxes):
        colour = COLOURS[box.block.kind]
        if box.level > before.level:
            plan.links.append(
                Link([(box.middle, before.bottom - 0.75), (box.middle, box.top + 0.75)], colour)
            )
        elif box.level < before.level:
            points = [(before.right, before.y), (box.middle, before.y), (box.middle, box.bottom - 0.75)]
            plan.links.append(Link(points, colour))
        if box.copied:
            crop = (
                "copy"
                if box.copied.block.size == box.block.size
                else f"crop to {_size(box.block.size)}, copy"
            )
            points = [(box.copied.right, box.y), (box.x - box.copied.width, box.y)]
            plan.links.append(Link(points, INK, words=crop))
    return plan


# ---------------------------------------------------------------------------------------------------------
# Drawing


def draw(
    model: nn.Module, size: IntOrPair, in_channels: int | None = None, *, title: str | None = None
) -> "Figure":
    """Draw a model: a box for each layer, as high as its map (square root) and as wide as its channels (logarithm).

    Models that put maps side by side, such as U-Net, come out as a U, others as a line. Solid arrows are skips,
    dashed ones carry the indices of a pooling. Normalisation, activations and dropout get no box.

    Parameters
    ----------
    model, size, in_channels
        As in :func:`trace`.
    title
        Of the picture; None: the model's class.

    Returns
    -------
    figure
        A matplotlib Figure: ``draw(model, 64).savefig("model.png", dpi=110)``.

    Examples
    --------
    >>> figure = draw(nn.Sequential(nn.Conv2d(1, 8, 3), nn.MaxPool2d(2)), 64, 1)
    >>> len(figure.axes)
    1
    """
    from matplotlib.figure import Figure

    blocks = trace(model, size, in_channels)
    plan = _plan(blocks)
    left, right = -1.0, max(box.right + plan.depth * box.height for box in plan.boxes) + 0.7
    heights = [y for link in plan.links for _, y in link.points]
    top = max([*heights, *(_label_top(box, plan) for box in plan.boxes)])
    bottom = min(box.bottom for box in plan.boxes) - 1.2
    inch = min(0.36, 15 / (right - left))  # inches for one unit
    right = max(right, left + 6 / inch)
    top, bottom = top + 0.95 / inch, bottom - 0.4 / inch  # the words above and below have their own size

    figure = Figure(figsize=((right - left) * inch, (top - bottom) * inch), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.axis("off")
    for link in plan.links:
        _draw_link(axes, link)
    for box in plan.boxes:
        _draw_box(axes, box, plan)
    for x, y in plan.sums:
        axes.text(x, y, "+", size=13, ha="center", va="center", color=INK, zorder=5, bbox=SUM)
    _label_sizes(axes, plan, 72 * inch)
    heading = title or type(model).__name__
    H, W = as_pair(size, "size")
    facts = f"input {H} × {W}, {model.parameter_count():,} parameters. Above a box: channels; below: size."
    figure.text(
        0.2 / figure.get_figwidth(), 1 - 0.34 / figure.get_figheight(), heading, size=15, weight="bold"
    )
    figure.text(0.2 / figure.get_figwidth(), 1 - 0.6 / figure.get_figheight(), facts, size=9.5, color=QUIET)
    _legend(figure, plan)
    return figure


SUM = {"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": INK, "linewidth": 1}


def _draw_box(axes: "Axes", box: Box, plan: Plan) -> None:
    """Draw a box: its front and, where it has depth, its top and its right side."""
    from matplotlib.patches import Polygon

    colour, d = COLOURS[box.block.kind], plan.depth * box.height
    x, X, y, Y = box.x, box.right, box.bottom, box.top
    faces = [([(x, y), (X, y), (X, Y), (x, Y)], 0.0)]
    if d:
        faces.append(([(x, Y), (X, Y), (X + d, Y + d), (x + d, Y + d)], 0.35))
        faces.append(([(X, y), (X + d, y + d), (X + d, Y + d), (X, Y)], -0.25))
    if box.copied:
        left = x - box.copied.width
        corners = [(left, y), (x, y), (x, Y), (left, Y)]
        axes.add_patch(Polygon(corners, facecolor="white", edgecolor=INK, lw=0.6, hatch="///"))
        _write(axes, left + box.copied.width / 2, Y + 0.15, str(box.copied.block.channels), INK, va="bottom")
    for corners, light in faces:
        axes.add_patch(Polygon(corners, facecolor=_shade(colour, light), edgecolor=INK, lw=0.6, zorder=3))
    _write(axes, box.middle + d / 2, Y + d + 0.15, str(box.block.channels), INK, va="bottom")


def _write(axes: "Axes", x: float, y: float, words: str, colour: str, **placing: Any) -> None:
    style: dict[str, Any] = {"size": 7.5, "ha": "center"} | placing
    axes.text(x, y, words, color=colour, **style)


def _shade(colour: str, light: float) -> tuple[float, ...]:
    """Mix a colour with white (light > 0) or with black."""
    from matplotlib.colors import to_rgb

    towards = 1.0 if light > 0 else 0.0
    return tuple(part + (towards - part) * abs(light) for part in to_rgb(colour))


def _draw_link(axes: "Axes", link: Link) -> None:
    """Draw a line with an arrowhead."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    arrow = FancyArrowPatch(
        path=Path(link.points),
        arrowstyle="-|>",
        mutation_scale=9,
        color=link.colour,
        lw=1.2,
        linestyle=(0, (4, 2)) if link.dashed else "-",
        joinstyle="round",
        zorder=2,
    )
    axes.add_patch(arrow)
    if link.words:
        (x, y), (X, _) = link.points
        axes.text((x + X) / 2, y + 0.2, link.words, size=8, ha="center", va="bottom", color=INK)


def _label_sizes(axes: "Axes", plan: Plan, points: float) -> None:
    """Write sizes under the boxes, once for neighbours of one size; ``points`` is how long a unit is on paper."""
    runs: list[list[Box]] = []
    for box in plan.boxes:
        last = runs[-1][-1] if runs else None
        if last and last.block.size == box.block.size and 0 < box.x - last.right < 0.3 and not box.side:
            runs[-1].append(box)
        else:
            runs.append([box])
    for run in runs:
        copied = run[0].copied
        start, stop = run[0].x - (copied.width if copied else 0), run[-1].right
        words = _size(run[0].block.size)
        if run[0].side:  # below it is the arrow to the sum
            _write(axes, start - 0.2, run[0].y, words, QUIET, ha="right", va="center")
            continue
        narrow = (stop - start + 0.8) * points < 4 * len(words)
        turned = 90 if narrow else 0
        _write(axes, (start + stop) / 2, run[0].bottom - 0.2, words, QUIET, va="top", rotation=turned)


def _size(size: Pair) -> str:
    return f"{size[0]}²" if size[0] == size[1] else f"{size[0]} × {size[1]}"


def _legend(figure: "Figure", plan: Plan) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    used = {box.block.kind for box in plan.boxes}
    handles: list[Any] = [
        Patch(fc=COLOURS[kind], ec=INK, lw=0.6, label=kind) for kind in COLOURS if kind in used
    ]
    if any(box.copied for box in plan.boxes):
        handles.append(Patch(fc="white", ec=INK, lw=0.6, hatch="///", label="copied"))
    if any(link.dashed for link in plan.links):
        handles.append(Line2D([], [], color=QUIET, ls=(0, (4, 2)), lw=1.2, label="indices of the maxima"))
    elif plan.sums:
        handles.append(Line2D([], [], color=INK, lw=1.2, label="skip"))
    figure.legend(
        handles=handles, loc="lower left", ncols=len(handles), frameon=False, fontsize=8.5,
        handlelength=1.4, columnspacing=1.4, borderaxespad=0.5,
    )  # fmt: skip
