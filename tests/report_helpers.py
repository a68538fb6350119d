"""An oracle whose predictions and confidences are chosen by the test, and a reader of the page."""

import math
from html.parser import HTMLParser

import numpy as np

from minisegnet import nn
from minisegnet.data.palettes import default_palette
from minisegnet.data.sample import Dataset, Sample
from minisegnet.data.statistics import Normalisation
from minisegnet.predictor import Predictor

GAIN = 8.0  # scores of a pixel that is as bright as can be
VOID = {"br", "img", "meta"}


class Known(Dataset):
    """Pictures whose brightest channel is what the oracle says, the brighter the surer."""

    name = "known"

    def __init__(self, truths, predictions, levels=None, *, class_names, ignore_index=None, names=None):
        self.class_names, self.ignore_index = tuple(class_names), ignore_index
        self.palette = default_palette(len(class_names))
        self.channels = len(class_names)
        self.truths, self.predictions = [np.array(t) for t in truths], [np.array(p) for p in predictions]
        self.levels = [np.full(t.shape, 255) for t in self.truths] if levels is None else levels
        self.names = names or [f"picture-{i}" for i in range(len(truths))]

    def __len__(self):
        return len(self.truths)

    def __getitem__(self, i):
        shown = (
            np.eye(self.channels, dtype=int)[self.predictions[i]] * self.levels[i][:, :, None]
        )  # (H, W, C)
        return Sample(shown.astype(np.uint8), self.truths[i].astype(np.uint8), None, self.names[i])


def oracle(dataset, facts=None):
    """Make a predictor whose scores are GAIN times the picture."""
    C = dataset.channels
    model = nn.Conv2d(C, C, 1, bias=False)
    model.load_state_dict({"weight": GAIN * np.eye(C, dtype=np.float32)[:, :, None, None]})
    return Predictor(
        model.eval(),
        class_names=dataset.class_names,
        palette=dataset.palette,
        normalisation=Normalisation((0.0,) * C, (1.0,) * C),
        ignore_index=dataset.ignore_index,
        facts=facts,
    )


def confidence_at(level, C):
    """Say how sure the oracle is of a pixel of this brightness."""
    return 1 / (1 + (C - 1) * math.exp(-GAIN * level / 255))


def random_known(count=4, C=3, size=(9, 11), seed=0, right=0.7, ignored=0.1, **options):
    """Random labels, of which about so many are predicted right; some are ignored."""
    rng = np.random.default_rng(seed)
    truths, predictions, levels = [], [], []
    for _ in range(count):
        truth = rng.integers(0, C, size)
        guess = np.where(rng.random(size) < right, truth, rng.integers(0, C, size))
        truth[rng.random(size) < ignored] = 255
        truths.append(truth)
        predictions.append(guess)
        levels.append(rng.integers(1, 256, size))
    names = [f"class {c}" for c in range(C)]
    return Known(truths, predictions, levels, **{"class_names": names, "ignore_index": 255, **options})


# ---------------------------------------------------------------------------------------------------------
# Reading the page


class Element:
    """One element: its tag, attributes, children and text."""

    def __init__(self, tag, attributes):
        self.tag, self.attributes, self.children = tag, dict(attributes), []

    @property
    def text(self):
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return "".join(parts)

    def all(self, tag=None, **attributes):
        """List the elements below, by tag and attributes, in their order."""
        found = []
        for child in self.children:
            if isinstance(child, str):
                continue
            wanted = {name.removesuffix("_").replace("_", "-"): value for name, value in attributes.items()}
            if tag in (None, child.tag) and wanted.items() <= child.attributes.items():
                found.append(child)
            found += child.all(tag, **attributes)
        return found

    def one(self, tag=None, **attributes):
        (found,) = self.all(tag, **attributes)
        return found


class _Reader(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = [Element("", [])]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, attrs)
        assert len(element.attributes) == len(attrs), f"an attribute of {tag} stands twice"
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)


def read_page(text):
    """Read a page, strictly: every element is closed, in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert [element.tag for element in reader.open] == [""]
    return reader.open[0]


def table_of(page, caption):
    """Return head, rows and foot of the table of this caption, as texts."""
    (found,) = [t for t in page.all("table") if t.one("caption").text.startswith(caption)]

    def rows(part):
        return [[cell.text for cell in row.children] for row in part.all("tr")]

    foot = found.all("tfoot")
    (heads,) = rows(found.one("thead"))
    return heads, rows(found.one("tbody")), rows(foot[0])[0] if foot else None
