"""Small data sets in every layout, from synthetic pictures, as their publishers and exporters write them.

``make(layout, root)`` writes one and returns what must be read from it. ``LAYOUTS`` names them all: each kind in the
forms in which it is met. Annotations that are outlines are traced around the very pixels of the synthetic labels, so
that reading them must give these labels back exactly.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from minisegnet.arrays import Array
from minisegnet.data.palettes import voc_palette
from minisegnet.data.sample import Sample
from minisegnet.data.synthetic import Synthetic

SIZE = (36, 44)
NAMES = ("background", "circle", "square", "triangle", "star")
COLOURS = ((0, 0, 0), (128, 64, 128), (192, 192, 128), (64, 0, 128), (128, 128, 0))
VOC_VALUES = (0, 2, 6, 15, 20)  # what stands for each shape where the layout has classes of its own
CAMVID_VALUES = (0, 3, 5, 8, 10)
CAMVID_COLOURS = ((128, 128, 128), (128, 64, 128), (128, 128, 0), (64, 0, 128), (0, 128, 192))


class Made(NamedTuple):
    """What was written: a kind of layout, and what must be read from it."""

    kind: str
    split_names: tuple[str, ...]
    labels: dict[
        str, Array
    ]  # by the name of the sample: values before they become labels are the maker's business
    class_names: tuple[str, ...]
    names: dict[str, list[str]]  # of the samples in each split that is divided on the disk; "" for the rest


class Part(NamedTuple):
    split: str
    samples: list[Sample]


def samples_of(split: str, count: int, size: tuple[int, int] = SIZE) -> list[Sample]:
    return list(Synthetic("shapes", split=split, count=count, size=size, seed=5))


def parts(train: int = 4, val: int = 2, test: int = 2) -> list[Part]:
    counts = {"train": train, "val": val, "test": test}
    return [Part(split, samples_of(split, count)) for split, count in counts.items() if count]


def make(layout: str, root: Path) -> Made:
    """Write a data set in this layout into a folder, which is made."""
    root.mkdir(parents=True, exist_ok=True)
    return LAYOUTS[layout](root)


# ---------------------------------------------------------------------------------------------------------
# Files


def write_picture(path: Path, sample: Sample) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    Image.fromarray(sample.image).save(path, **options)


def write_values(path: Path, values: Array, palette: Any = None) -> None:
    """Write a grey mask, or one with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values.astype(np.uint8))
    if palette is not None:
        picture.putpalette([channel for colour in palette for channel in colour])
    picture.save(path)


def voc_palette_picture(values: Array) -> Image.Image:
    picture = Image.fromarray(values.astype(np.uint8))
    picture.putpalette([channel for colour in voc_palette(256) for channel in colour])
    return picture


def pages(path: Path, *frames: Array, **options: Any) -> Path:
    """Write several pictures into one file."""
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


def write_painted(path: Path, labels: Array, colours: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(colours, np.uint8)[labels]).save(path)


def write_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def made(
    kind: str, written: list[Part], class_names: tuple[str, ...] = NAMES, *, divided: bool = True
) -> Made:
    labels = {s.name: s.labels for part in written for s in part.samples if s.labels is not None}
    names = {part.split: [s.name for s in part.samples] for part in written}
    if not divided:
        return Made(
            kind, ("train", "val"), labels, class_names, {"": [n for some in names.values() for n in some]}
        )
    there = {"train", "val", *names} if "" in names else {*names}
    split_names = tuple(split for split in ("train", "val", "test") if split in there)
    return Made(kind, split_names, labels, class_names, names)


# ---------------------------------------------------------------------------------------------------------
# Pairs


def pairs(root: Path) -> Made:
    """images/ and masks/, undivided."""
    written = parts(6, 0, 0)
    for sample in written[0].samples:
        write_picture(root / "images" / f"{sample.name}.jpg", sample)
        write_values(root / "masks" / f"{sample.name}.png", sample.labels)
    write_text(root / "classes.txt", *NAMES)
    return made("pairs", written, divided=False)


def pairs_split(root: Path) -> Made:
    """train/images, train/masks, valid/ ..., test/ ..."""
    written = parts()
    for split, samples in written:
        folder = root / ("valid" if split == "val" else split)
        for sample in samples:
            write_picture(folder / "images" / f"{sample.name}.JPG", sample)
            write_values(folder / "labels" / f"{sample.name}.png", sample.labels)
    write_text(root / "classes.txt", *NAMES)
    return made("pairs", written)


def pairs_inside(root: Path) -> Made:
    """images/train and annotations/train, and so on."""
    written = parts()
    for split, samples in written:
        for sample in samples:
            write_picture(root / "images" / split / f"{sample.name}.png", sample)
            write_values(root / "annotations" / split / f"{sample.name}.png", sample.labels)
    write_text(root / "classes.txt", *NAMES)
    return made("pairs", written)


def pairs_beside(root: Path) -> Made:
    """photo.jpg and photo_mask.png in one folder, painted; dataset.toml names the colours."""
    written = parts(6, 0, 0)
    for sample in written[0].samples:
        write_picture(root / f"{sample.name}.jpg", sample)
        write_painted(root / f"{sample.name}_mask.png", sample.labels, COLOURS)
    tables = (
        f'[[classes]]\nname = "{name}"\ncolour = "#{r:02x}{g:02x}{b:02x}"'
        for name, (r, g, b) in zip(NAMES, COLOURS, strict=True)
    )
    write_text(root / "dataset.toml", *tables)
    return made("pairs", written, divided=False)


# ---------------------------------------------------------------------------------------------------------
# PASCAL VOC

VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def voc(root: Path) -> Made:
    """JPEGImages, SegmentationClass with VOC's palette and a void border, ImageSets; test without masks."""
    written = parts(4, 2, 0)
    values = np.array(VOC_VALUES, np.uint8)
    labels = {}
    for split, samples in written:
        for sample in samples:
            write_picture(root / "JPEGImages" / f"{sample.name}.jpg", sample)
            labels[sample.name] = with_border(values[sample.labels])
            write_values(
                root / "SegmentationClass" / f"{sample.name}.png", labels[sample.name], voc_palette(256)
            )
            write_values(root / "SegmentationObject" / f"{sample.name}.png", sample.labels)
        write_text(root / "ImageSets" / "Segmentation" / f"{split}.txt", *(s.name for s in samples))
    everything = [s.name for part in written for s in part.samples]
    write_text(root / "ImageSets" / "Segmentation" / "trainval.txt", *everything)
    write_text(root / "ImageSets" / "Segmentation" / "test.txt", "2008_000001", "2008_000002")
    write_text(root / "Annotations" / "notes.xml", "<annotation/>")
    return made("voc", written, VOC_NAMES)._replace(labels=labels)


def with_border(values: Array, void: int = 255) -> Array:
    values = values.copy()
    values[:, :2] = void
    return values


# ---------------------------------------------------------------------------------------------------------
# CamVid

SEGNET_NAMES = (
    "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
)  # fmt: skip
CAMVID_LIST = (
    ("Void", (0, 0, 0)), ("Sky", CAMVID_COLOURS[0]), ("Building", (128, 0, 0)), ("Road", CAMVID_COLOURS[1]),
    ("Tree", CAMVID_COLOURS[2]), ("Car", CAMVID_COLOURS[3]), ("Bicyclist", CAMVID_COLOURS[4]),
)  # fmt: skip
CAMVID_NAMES = ("Sky", "Building", "Road", "Tree", "Car", "Bicyclist")  # without Void
CAMVID_LABELS = (0, 2, 3, 4, 5)  # of the five shapes


def frame(sample: Sample) -> str:
    """Name a picture as CamVid names its frames."""
    split, number = sample.name.split("-")[1:]
    return f"{'0001TP' if split == 'train' else '0016E5' if split == 'val' else 'Seq05VD'}_{int(number) + 6690:06d}"


def renamed(written: list[Part]) -> list[Part]:
    return [Part(split, [s._replace(name=frame(s)) for s in samples]) for split, samples in written]


def camvid(root: Path) -> Made:
    """SegNet's copy: train, trainannot, ...: indices from 0 to 10, void 11; lists of pairs of paths."""
    written = renamed(parts())
    labels = {}
    for split, samples in written:
        for sample in samples:
            labels[sample.name] = with_border(np.array(CAMVID_VALUES, np.uint8)[sample.labels], 11)
            write_picture(root / split / f"{sample.name}.png", sample)
            write_values(root / f"{split}annot" / f"{sample.name}.png", labels[sample.name])
        lines = (
            f"/SegNet/CamVid/{split}/{s.name}.png /SegNet/CamVid/{split}annot/{s.name}.png" for s in samples
        )
        write_text(root / f"{split}.txt", *lines)
    labels = {name: np.where(values == 11, 255, values) for name, values in labels.items()}
    return made("camvid", written, SEGNET_NAMES)._replace(labels=labels)


def camvid_painted(
    root: Path,
    images: str = "701_StillsRaw_full",
    masks: str = "LabeledApproved_full",
    *,
    table: bool = False,
) -> Made:
    """The publisher's: one folder of frames, one of painted masks with _L, label_colors.txt; undivided."""
    written = renamed(parts(6, 0, 0))
    labels = {}
    for sample in written[0].samples:
        write_picture(root / images / f"{sample.name}.png", sample)
        labels[sample.name] = write_camvid_mask(root / masks / f"{sample.name}_L.png", sample)
    write_camvid_colours(root, table=table)
    return made("camvid", written, CAMVID_NAMES, divided=False)._replace(labels=labels)


def write_camvid_mask(path: Path, sample: Sample) -> Array:
    painted = np.array(CAMVID_COLOURS, np.uint8)[sample.labels]
    painted[:, :2] = 0  # Void
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painted).save(path)
    return with_border(np.array(CAMVID_LABELS, np.uint8)[sample.labels])


def write_camvid_colours(root: Path, *, table: bool) -> None:
    if table:
        lines = (f"{name},{r},{g},{b}" for name, (r, g, b) in CAMVID_LIST)
        write_text(root / "class_dict.csv", "name,r,g,b", *lines)
    else:
        write_text(root / "label_colors.txt", *(f"{r} {g} {b}\t\t{name}" for name, (r, g, b) in CAMVID_LIST))


def camvid_labels(root: Path) -> Made:
    """images/ and labels/ with _L, and split lists, of which there is none for training."""
    written = camvid_painted(root, "images", "labels")
    names = written.names[""]
    write_text(root / "valid.txt", *(f"{name}.png" for name in names[:2]))
    return written._replace(names={"val": names[:2], "train": names[2:]})


def camvid_table(root: Path) -> Made:
    """train, train_labels, ... painted, with class_dict.csv."""
    written = renamed(parts())
    labels = {}
    for split, samples in written:
        for sample in samples:
            write_picture(root / split / f"{sample.name}.png", sample)
            labels[sample.name] = write_camvid_mask(root / f"{split}_labels" / f"{sample.name}_L.png", sample)
    write_camvid_colours(root, table=True)
    return made("camvid", written, CAMVID_NAMES)._replace(labels=labels)


# ---------------------------------------------------------------------------------------------------------
# Oxford-IIIT Pet


def pet(root: Path) -> Made:
    """images/*.jpg, annotations/trimaps/*.png of 1, 2, 3, lists with more columns, the archive's hidden files."""
    train, test = samples_of("train", 5), samples_of("test", 2)
    labels = {}
    for split, samples in (("trainval", train), ("test", test)):
        for sample in samples:
            write_picture(root / "images" / f"{sample.name}.jpg", sample)
            labels[sample.name] = np.where(sample.labels == 0, 0, np.where(sample.labels == 1, 1, 2))
            trimap = np.array([2, 1, 3], np.uint8)[labels[sample.name]]
            write_values(root / "annotations" / "trimaps" / f"{sample.name}.png", trimap)
            write_text(root / "annotations" / "trimaps" / f"._{sample.name}.png", "not a picture")
        write_text(root / "annotations" / f"{split}.txt", *(f"{s.name} 1 1 1" for s in samples))
    header = ("#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids")
    write_text(root / "annotations" / "list.txt", *header, *(f"{s.name} 1 1 1" for s in (*train, *test)))
    write_text(root / "annotations" / "xmls" / "notes.xml", "<annotation/>")
    written = [Part("", train), Part("test", test)]
    return made("pet", written, ("background", "pet", "border"))._replace(labels=labels)


# ---------------------------------------------------------------------------------------------------------
# Outlines


def outline(mask: Array) -> list[list[list[float]]]:
    """Trace the outlines of a mask along the edges of its pixels: rings of [x, y], holes among them.

    Every edge between inside and outside is one step, with the inside on its right; joined at their ends they are
    closed walks. Written for the tests alone, independent of the package.
    """
    H, W = mask.shape
    padded = np.pad(mask.astype(bool), 1)
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for i in range(H + 1):
        for j in range(W + 1):
            here, above, left = padded[i + 1, j + 1], padded[i, j + 1], padded[i + 1, j]
            if here != above:  # a horizontal edge from (j, i) to (j + 1, i)
                start, end = ((j, i), (j + 1, i)) if here else ((j + 1, i), (j, i))
                steps.setdefault(start, []).append(end)
            if here != left:  # a vertical one from (j, i) to (j, i + 1)
                start, end = ((j, i + 1), (j, i)) if here else ((j, i), (j, i + 1))
                steps.setdefault(start, []).append(end)
    rings = []
    while steps:
        start = next(iter(steps))
        ring, at = [], start
        while True:
            ring.append([float(at[0]), float(at[1])])
            following = steps[at].pop()
            if not steps[at]:
                del steps[at]
            at = following
            if at == start:
                break
        rings.append(ring)
    return rings


def counts_of(mask: Array) -> list[int]:
    """Return COCO's uncompressed run lengths of a mask: down the columns, outside first."""
    counts, value, run = [], False, 0
    for pixel in mask.T.ravel().tolist():
        if bool(pixel) != value:
            counts.append(run)
            value, run = bool(pixel), 0
        run += 1
    return [*counts, run]


CATEGORY_IDS = {"circle": 3, "square": 7, "triangle": 90, "star": 12}  # neither from 1 nor contiguous
BY_ID = ("background", "circle", "square", "star", "triangle")  # in the order of the ids


def coco_content(samples: list[Sample], suffix: str = ".jpg", folder: str = "") -> dict[str, Any]:
    """Build a COCO file: circles as polygons, squares as run lengths of a crowd, the rest as polygons."""
    H, W = SIZE
    images, annotations = [], []
    for number, sample in enumerate(samples):
        images.append(
            {"id": 100 + 7 * number, "file_name": f"{folder}{sample.name}{suffix}", "height": H, "width": W}
        )
        assert sample.labels is not None
        for label in np.unique(sample.labels):
            if label == 0:
                continue
            mask = sample.labels == label
            rings = [[float(x) for point in ring for x in point] for ring in outline(mask)]
            crowd = int(label == 2)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 100 + 7 * number,
                    "category_id": CATEGORY_IDS[NAMES[label]],
                    "segmentation": {"size": [H, W], "counts": counts_of(mask)} if crowd else rings,
                    "area": float(mask.sum()),
                    "bbox": [0.0, 0.0, float(W), float(H)],
                    "iscrowd": crowd,
                }
            )
    categories = [
        {"id": number, "name": name, "supercategory": "shape"} for name, number in CATEGORY_IDS.items()
    ]
    return {
        "info": {},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def in_order_of_ids(written: list[Part]) -> dict[str, Array]:
    new = np.array([BY_ID.index(name) for name in NAMES], np.uint8)
    return {s.name: new[s.labels] for part in written for s in part.samples}


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def coco(root: Path) -> Made:
    """train/_annotations.coco.json beside the pictures, valid/ and test/ likewise, as exporters write it."""
    written = parts()
    for split, samples in written:
        folder = root / ("valid" if split == "val" else split)
        for sample in samples:
            write_picture(folder / f"{sample.name}.jpg", sample)
        write_json(folder / "_annotations.coco.json", coco_content(samples))
    write_text(root / "README.dataset.txt", "exported")
    return made("coco", written, BY_ID)._replace(labels=in_order_of_ids(written))


def coco_instances(root: Path) -> Made:
    """annotations/instances_train2017.json and train2017/, and so on, beside captions that nobody wants."""
    written = parts(4, 2, 0)
    for split, samples in written:
        for sample in samples:
            write_picture(root / f"{split}2017" / f"{sample.name}.jpg", sample)
        write_json(root / "annotations" / f"instances_{split}2017.json", coco_content(samples))
        captions = {"images": [], "annotations": [{"id": 1, "image_id": 1, "caption": "shapes"}]}
        write_json(root / "annotations" / f"captions_{split}2017.json", captions)
    return made("coco", written, BY_ID)._replace(labels=in_order_of_ids(written))


def coco_single(root: Path) -> Made:
    """One annotations file in root, pictures in images/; undivided."""
    written = parts(6, 0, 0)
    for sample in written[0].samples:
        write_picture(root / "images" / f"{sample.name}.png", sample)
    write_json(root / "annotations.json", coco_content(written[0].samples, ".png", "images/"))
    return made("coco", written, BY_ID, divided=False)._replace(labels=in_order_of_ids(written))


# ---------------------------------------------------------------------------------------------------------
# labelme


def labelme_content(sample: Sample, image_path: str) -> dict[str, Any]:
    """Build a labelme file. It knows no holes: what lies in one is drawn over it, as "background" where it must be."""
    H, W = SIZE
    assert sample.labels is not None
    shapes = []
    for label in (label for label in np.unique(sample.labels) if label):
        rings = outline(sample.labels == label)
        for ring in sorted(rings, key=lambda ring: -abs(area(ring))):
            name = NAMES[label] if area(ring) > 0 else "_background_"
            shapes.append(
                {"label": name, "points": ring, "group_id": None, "shape_type": "polygon", "flags": {}}
            )
    return {
        "version": "5.0.1",
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": H,
        "imageWidth": W,
    }


def area(ring: list[list[float]]) -> float:
    x, y = np.array(ring).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def labelme(root: Path) -> Made:
    """photo.jpg and photo.json side by side, undivided."""
    written = parts(6, 0, 0)
    for sample in written[0].samples:
        write_picture(root / f"{sample.name}.jpg", sample)
        write_json(root / f"{sample.name}.json", labelme_content(sample, f"{sample.name}.jpg"))
    return labelme_made(written, divided=False)


def labelme_split(root: Path) -> Made:
    """train/images, train/annotations with ..\\images\\ in the paths, as on Windows; val/ likewise."""
    written = parts(4, 2, 0)
    for split, samples in written:
        for sample in samples:
            write_picture(root / split / "images" / f"{sample.name}.png", sample)
            content = labelme_content(sample, f"..\\images\\{sample.name}.png")
            write_json(root / split / "annotations" / f"{sample.name}.json", content)
    return labelme_made(written, divided=True)


def labelme_made(written: list[Part], *, divided: bool) -> Made:
    """Labels are numbered in the order of the alphabet, after the background."""
    there = sorted({NAMES[k] for part in written for s in part.samples for k in np.unique(s.labels) if k})
    names = ("background", *there)
    new = np.array([names.index(name) if name in names else 0 for name in NAMES], np.uint8)
    labels = {s.name: new[s.labels] for part in written for s in part.samples}
    return made("labelme", written, names, divided=divided)._replace(labels=labels)


LAYOUTS: dict[str, Callable[[Path], Made]] = {
    "pairs": pairs,
    "pairs-split": pairs_split,
    "pairs-inside": pairs_inside,
    "pairs-beside": pairs_beside,
    "voc": voc,
    "camvid": camvid,
    "camvid-painted": camvid_painted,
    "camvid-labels": camvid_labels,
    "camvid-table": camvid_table,
    "pet": pet,
    "coco": coco,
    "coco-instances": coco_instances,
    "coco-single": coco_single,
    "labelme": labelme,
    "labelme-split": labelme_split,
}
