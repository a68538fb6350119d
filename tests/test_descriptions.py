"""classes.txt, dataset.toml and lists of colours; and what becomes of painted masks."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_folder import make, mask, picture, refused

from minisegnet.arrays import Array
from minisegnet.data import colours as colours_module
from minisegnet.data.colours import NamedColours, values_of_colours
from minisegnet.data.descriptions import Description, describe
from minisegnet.data.folder import Folder
from minisegnet.data.reading import write_image

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 128, 0), (0, 0, 255), (0, 0, 0)


def told(root: Path, name: str, text: str) -> Description:
    (root / name).write_text(text, encoding="utf-8")
    description = describe(root)
    assert description is not None and description.path == root / name
    (root / name).unlink()
    return description


def painted(root: Path, labels: Array, colours: object, text: str, name: str = "classes.txt") -> Path:
    """Write a picture and a painted mask, and what its colours mean."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    write_image(root / "images" / "a.png", picture(*labels.shape))
    Image.fromarray(np.array(colours, np.uint8)[labels]).save(root / "masks" / "a.png")
    (root / name).write_text(text, encoding="utf-8")
    return root


# ---------------------------------------------------------------------------------------------------------
# classes.txt


def test_classes_may_take_several_values_and_leave_some_out(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 3, 4, 9]}, "0 = ground\n3 = tree\n4 = tree\n9 = ignored")
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("ground", "tree") and dataset.ignore_index == 255
    assert np.array_equal(dataset[0].labels, mask([0, 1, 1, 255]))
    (tmp_path / "classes.txt").write_text("0 = ground\n3 = tree\n4 = tree")
    refused(tmp_path, "no class: a.png: 9")
    (tmp_path / "classes.txt").write_text("0 = ground\n3 = tree\n0 = ignored")
    refused(tmp_path, "classes.txt: the label values are 0, 3, 0; expected all different")


def test_masks_that_begin_with_one(tmp_path: Path) -> None:
    make(tmp_path, {"a": [1, 2], "b": [2, 3, 255]})
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("0", "1", "2", "3") and np.array_equal(dataset[0].labels, mask([1, 2]))
    assert len(dataset.notes) == 1
    assert "no mask holds the value 0, so class '0' never occurs (the smallest is 1)" in dataset.notes[0]
    assert "'1 = name'" in dataset.notes[0]
    (tmp_path / "classes.txt").write_text("cat\ndog\nbird")
    refused(
        tmp_path, "b.png: 3. There are 3 classes", "numbered from 1: then write '1 = cat' and so on there"
    )
    (tmp_path / "classes.txt").write_text("1 = cat\n2 = dog\n3 = bird")
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("cat", "dog", "bird") and dataset.notes == ()
    assert np.array_equal(dataset[0].labels, mask([0, 1]))


# ---------------------------------------------------------------------------------------------------------
# Colours


def test_painted_masks_become_labels(tmp_path: Path) -> None:
    labels = mask([0, 1, 2, 3], 9, 11)
    text = "#ff0000 = road\n#008000 = tree\n#0000FF = road\n#000000 = ignored"
    dataset = Folder(painted(tmp_path, labels, (RED, GREEN, BLUE, BLACK), text), split="all")
    assert dataset.class_names == ("road", "tree") and dataset.palette == (RED, GREEN)
    assert dataset.ignore_index == 255
    assert np.array_equal(dataset[0].labels, np.array([0, 1, 0, 255])[labels])


def test_colours_without_a_name_are_counted(tmp_path: Path) -> None:
    labels = mask([0, 1, 2, 1], 4, 6)
    painted(tmp_path, labels, (RED, GREEN, (9, 8, 7)), "#ff0000 = road\n#008000 = tree")
    refused(
        tmp_path, "a.png holds colours that have no name: #090807 (6 pixels); 2 are named (#ff0000, #008000)"
    )
    blurred = np.linspace(0, 255, 72).astype(np.uint8).reshape(4, 6, 3)
    Image.fromarray(blurred).save(tmp_path / "masks" / "a.png")
    refused(tmp_path, "(24 in all)", "scaled with interpolation or saved with loss")
    (tmp_path / "classes.txt").write_text("road\ntree")
    refused(tmp_path, "a.png is a colour picture with 24 colours", "Name the colours", "classes.txt")


def test_grey_masks_hold_values_even_where_colours_are_named(tmp_path: Path) -> None:
    painted(tmp_path, mask([0, 1]), (RED, GREEN), "#ff0000 = road\n#008000 = tree")
    Image.fromarray(mask([0, 1, 1])).save(tmp_path / "masks" / "a.png")
    assert np.array_equal(Folder(tmp_path, split="all")[0].labels, mask([0, 1, 1]))


@pytest.mark.parametrize("numbered", [False, True])
def test_palettes(tmp_path: Path, numbered: bool) -> None:
    """A palette's colours are meant where all that are used have a name, unless values are given as well."""
    indices = mask([5, 2])
    values = ("value = 5\n", "value = 2\n") if numbered else ("", "")
    road, tree = (
        f'[[classes]]\nname = "{name}"\ncolour = "{c}"\n'
        for name, c in (("road", "#ff0000"), ("tree", "#008000"))
    )
    text = road + values[0] + tree
    painted(tmp_path, mask([0, 1]), (RED, GREEN), text + values[1], "dataset.toml")
    image = Image.fromarray(indices)
    image.putpalette([c for k in range(6) for c in (GREEN if k == 5 else RED if k == 2 else (k, k, k))])
    image.save(tmp_path / "masks" / "a.png")
    assert np.array_equal(Folder(tmp_path, split="all")[0].labels, mask([0, 1] if numbered else [1, 0]))
    image.putpalette(
        [c for k in range(6) for c in ((k, 0, 0))]
    )  # no colour has a name: the indices are meant
    image.save(tmp_path / "masks" / "a.png")
    if numbered:
        assert np.array_equal(Folder(tmp_path, split="all")[0].labels, mask([0, 1]))
    else:
        refused(tmp_path, "no class: a.png: 2, 5")


def test_painted_masks_are_refused_like_others(tmp_path: Path) -> None:
    root = painted(tmp_path, mask([0, 1]), (RED, GREEN), "#ff0000 = road\n#008000 = tree")
    rgba = np.dstack([np.full((4, 6, 3), RED, np.uint8), np.zeros((4, 6), np.uint8)])
    Image.fromarray(rgba).save(root / "masks" / "a.png")
    refused(root, "a.png has transparent pixels")
    (root / "masks" / "a.png").unlink()
    Image.fromarray(rgba[..., :3]).save(root / "masks" / "a.jpg")
    refused(root, "a.jpg is a JPEG")


def test_colours_are_looked_up_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    colours = tuple({(int(r), int(g), int(b)) for r, g, b in rng.integers(0, 256, (300, 3))})
    values = tuple(int(v) for v in rng.permutation(len(colours)) * 7)
    which = rng.integers(0, len(colours), (40, 50))
    monkeypatch.setattr(colours_module, "STRIP", 97)
    named = NamedColours(colours, values)
    result = values_of_colours(Path("a.png"), np.array(colours, np.uint8)[which], named)
    assert np.array_equal(result, np.array(values)[which]) and result.dtype == np.uint16


def test_a_share_of_stray_colours_may_be_void() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[0, :2] = (1, 2, 3)
    named = NamedColours((BLACK, RED), (0, 1), rest=255, share=0.02)
    result = values_of_colours(Path("a.png"), picture, named)
    assert result[0].tolist() == [255, 255] + [0] * 8
    picture[1, 0] = (4, 5, 6)
    with pytest.raises(ValueError, match=re.escape("#010203 (2 pixels), #040506 (1 pixels)")):
        values_of_colours(Path("a.png"), picture, named)


# ---------------------------------------------------------------------------------------------------------
# Lists of colours


def test_lists_of_colours(tmp_path: Path) -> None:
    lists = {
        "label_colors.txt": "64 128 64\tAnimal\n# a note\n\n192 0 128\t\tArch way\r\n0 0 0\tVoid\n",
        "class_dict.csv": "name,r,g,b\nAnimal,64,128,64\nArch way, 192, 0, 128\nVoid,0,0,0\n",
        "labelmap.txt": "# label:color_rgb:parts:actions\nAnimal:64,128,64::\nArch way:192,0,128:a,b:\nVoid:0,0,0::\n",
    }
    for name, text in lists.items():
        description = told(tmp_path, name, text)
        assert description.class_names == ("Animal", "Arch way")
        assert description.palette == ((64, 128, 64), (192, 0, 128)) and description.ignored == (255,)
        assert description.colours == NamedColours((*description.palette, BLACK), (0, 1, 255))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("label_colors.txt", "64 128 Animal", "line 1 is '64 128 Animal'; expected a name and red, green, blue"),
        ("label_colors.txt", "64 128 256 Animal", "from 0 to 255"),
        ("label_colors.txt", "64 128 6" + "4" * 5000 + " Animal", "from 0 to 255"),
        ("class_dict.csv", "name,r,g,b\nAnimal,64,128", "from 0 to 255"),
        ("classes.txt", "#ff0000 = a\nb", "'#rrggbb = name' in some lines and not in line 2 ('b')"),
        ("classes.txt", "#ff0000 = a\n#FF0000 = b", "names the colour #ff0000 more than once"),
        ("classes.txt", "".join(f"#0000{k:02x} = a{k}\n#0001{k:02x} = b{k}\n" for k in range(200)), "at most 255"),
        ("classes.txt", "x" * 2**21, "expected at most 1,048,576"),
        ("dataset.toml", "classes = 3", "classes is 3; expected a table [[classes]]"),
        ("dataset.toml", "[[classes]]\nname = 3", "classes[0] has the name 3"),
        ("dataset.toml", "[[klasses]]\nname = 'a'", "unknown key 'klasses' (did you mean 'classes'?)"),
        ("dataset.toml", "[[classes]]\nname = 'a'\nkolour = 1", "classes[0] has an unknown key 'kolour' (did you mean"),
        ("dataset.toml", "[[classes]]\nname = 'a'\ncolour = 'red'", "colour holds 'red'; expected whole numbers"),
        ("dataset.toml", "[[classes]]\nname = 'a'\ncolour = 3", "expected whole numbers as values, and colours"),
        ("dataset.toml", "[[classes]]\nname = 'a'\nvalue = 65536", "value holds 65536"),
        ("dataset.toml", "[[classes]]\nname = 'a'\nvalue = true", "value holds True"),
        ("dataset.toml", "[[classes]]\nname = 'a'\nvalue = 1\nvalues = [2]", "has both value and values"),
        ("dataset.toml", "[[classes]]\nname = 'a'\nvalue = 1\n[[classes]]\nname = 'b'", "others (b) none"),
        ("dataset.toml", "[[classes]]\nname='a'\nvalue=1\n[[classes]]\nname='b'\nvalue=1", "some values twice: 1"),
        ("dataset.toml", "ignored = 1\n[[classes]]\nname='a'\nvalue=1", "some values twice: 1"),
        ("dataset.toml", "ignored = '#000000'", "names no class"),
        ("dataset.toml", "ignored = '#000000'\n[[classes]]\nname = 'a'", "its classes have none"),
        ("dataset.toml", "ignored = -1", "ignored holds -1"),
        ("dataset.toml", "a = " + "[" * 5000, "can't be read"),
        ("dataset.toml", "classes = [", "can't be read"),
    ],
)  # fmt: skip
def test_descriptions_that_are_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        describe(tmp_path)
    assert name in str(caught.value)


# ---------------------------------------------------------------------------------------------------------
# dataset.toml

TOML = """
ignored = [9, 255, "#000000"]

[[classes]]
name = "ground"
values = [0, 7]
colours = ["#ff0000", "#ff0001"]

[[classes]]
name = "나무"
value = 3
colour = "#008000"
"""


def test_a_dataset_says_all_there_is_to_say(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 3, 7, 9], "b": [255, 3, 0]}, "these\nnames\ndo\nnot\ncount")
    (tmp_path / "dataset.toml").write_text(TOML, encoding="utf-8")
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("ground", "나무") and dataset.palette == (RED, GREEN)
    assert np.array_equal(dataset[0].labels, mask([0, 1, 0, 255]))
    assert np.array_equal(dataset[1].labels, mask([255, 1, 0]))
    labels = mask([0, 1, 2, 3])
    Image.fromarray(np.array([RED, (255, 0, 1), GREEN, BLACK], np.uint8)[labels]).save(
        tmp_path / "masks" / "a.png"
    )
    assert np.array_equal(Folder(tmp_path, split="all")[0].labels, np.array([0, 0, 1, 255])[labels])


def test_only_what_does_not_count(tmp_path: Path) -> None:
    make(tmp_path, {"a": [0, 1, 2, 3]})
    (tmp_path / "dataset.toml").write_text("ignored = 0")
    dataset = Folder(tmp_path, split="all")
    assert dataset.class_names == ("1", "2", "3") and dataset.notes == ()
    assert np.array_equal(dataset[0].labels, mask([255, 0, 1, 2]))


def test_a_void_colour_where_255_is_a_class(tmp_path: Path) -> None:
    text = 'ignored = ["#000000"]\n' + "".join(
        f'[[classes]]\nname = "{value}"\nvalue = {value}\ncolour = "{colour}"\n'
        for value, colour in ((0, "#ff0000"), (255, "#008000"))
    )
    labels = mask([0, 1, 2])
    dataset = Folder(painted(tmp_path, labels, (RED, GREEN, BLACK), text, "dataset.toml"), split="all")
    assert np.array_equal(dataset[0].labels, np.array([0, 1, 255])[labels]) and dataset.ignore_index == 255


def test_the_examples_in_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "layouts.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) == 2
    descriptions = [told(tmp_path, "dataset.toml", example) for example in examples]
    assert [d.class_names for d in descriptions] == [("road", "tree"), ("background", "pet")]
    assert (
        descriptions[0].values == (3, 4)
        and descriptions[0].merged == {7: 0}
        and descriptions[0].ignored == (255,)
    )
    columns = re.search(r"```\n(background +0 = .*?)```", page, flags=re.DOTALL)
    assert columns is not None
    rows = [re.split(r"  +", line) for line in columns[1].splitlines()]
    first, second, third = (
        told(tmp_path, "classes.txt", "\n".join(row[k] for row in rows if len(row) > k and row[k]))
        for k in range(3)
    )
    assert first.class_names == second.class_names == third.class_names == ("background", "cell")
    assert second.merged == {51: 1} and second.ignored == (255,) and third.ignored == (255,)
