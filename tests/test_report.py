"""The report: its numbers against plain loops, the page against its numbers, and whatever a name may hold."""

import errno
import io
import itertools
import json
import math
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_helpers import Known, confidence_at, oracle, random_known, read_page, table_of

from minisegnet import files, ops, report
from minisegnet.cli import main
from minisegnet.data import Synthetic, default_palette
from minisegnet.metrics import Calibration, Evaluation
from minisegnet.report import hints as hints_module
from minisegnet.report.markup import number, percent
from minisegnet.report.numbers import numbers_of
from minisegnet.report.panels import LONGEST, panels
from minisegnet.report.parts.pictures import MOST_ROWS

NASTY = ("<script>alert(1)</script>", "&\"'", "</style><b>bold", "한글 이름", "a\x00b\x1b[31m\udcff")


@pytest.fixture(autouse=True)
def numpy_backend(monkeypatch):
    monkeypatch.setenv("MINISEGNET_BACKEND", "numpy")


def reported(dataset, tmp_path, **options):
    """Write a report; return its numbers as read from the file, and the page as read from the file."""
    findings = report.examine(oracle(dataset), dataset, **options)
    folder = report.write(findings, tmp_path / "out")
    return read_json(folder / "report.json"), read_page((folder / "report.html").read_text("utf-8"))


def read_json(path):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def ratio(part, whole):
    return part / whole if whole else None


def mean(values):
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def slow_counts(dataset, i):
    """Count true positives, truth and predictions of each class of one picture, pixel by pixel."""
    C = len(dataset.class_names)
    table = [[0] * C for _ in range(C)]
    for t, y in zip(dataset.truths[i].ravel().tolist(), dataset.predictions[i].ravel().tolist(), strict=True):
        if t != dataset.ignore_index:
            table[t][y] += 1
    return table


def slow_iou(table, c):
    right, true, guessed = table[c][c], sum(table[c]), sum(row[c] for row in table)
    return ratio(right, true + guessed - right)


# ---------------------------------------------------------------------------------------------------------
# The numbers


def test_numbers_are_those_of_plain_loops(tmp_path):
    dataset = random_known(count=5, C=4, seed=3)
    dataset.truths[4][dataset.truths[4] == 2] = 0  # a class that is not in every picture
    numbers, _ = reported(dataset, tmp_path, batch=2)
    tables = [slow_counts(dataset, i) for i in range(5)]
    whole = np.sum(tables, axis=0).tolist()
    assert numbers["confusion"] == whole
    ious = [slow_iou(whole, c) for c in range(4)]
    scores = numbers["scores"]
    assert scores["miou"] == pytest.approx(mean(ious))
    own = [mean([slow_iou(table, c) for c in range(4)]) for table in tables]
    assert scores["miou_per_image"] == pytest.approx(mean(own))
    spread = scores["miou_of_each_image"]
    assert spread["deviation"] == pytest.approx(np.std(own)) and spread["median"] == pytest.approx(
        np.median(own)
    )
    assert (spread["lowest"], spread["highest"], spread["pictures"]) == (pytest.approx(min(own)), max(own), 5)
    total = sum(map(sum, whole))
    assert numbers["data"]["counted_pixels"] == total
    assert numbers["data"]["ignored_pixels"] == sum((t == 255).sum() for t in dataset.truths)
    for c, entry in enumerate(numbers["classes"]):
        guessed = sum(row[c] for row in whole)
        assert entry["name"] == f"class {c}" and entry["colour"] == list(dataset.palette[c])
        assert entry["pixels"] == sum(whole[c]) and entry["share"] == pytest.approx(sum(whole[c]) / total)
        assert entry["predicted_pixels"] == guessed and entry["iou"] == pytest.approx(ious[c])
        assert entry["accuracy"] == pytest.approx(whole[c][c] / sum(whole[c]))
        assert entry["precision"] == pytest.approx(whole[c][c] / guessed)
        assert entry["dice"] == pytest.approx(2 * whole[c][c] / (sum(whole[c]) + guessed))
        assert entry["pictures"] == sum(sum(table[c]) > 0 for table in tables)
        each = [slow_iou(table, c) for table in tables]
        assert entry["of_each_image"]["iou"]["mean"] == pytest.approx(mean(each))
        found = [ratio(table[c][c], sum(table[c])) for table in tables]
        assert entry["of_each_image"]["accuracy"]["mean"] == pytest.approx(mean(found))
    for i, picture in enumerate(numbers["pictures"]):
        assert picture["name"] == f"picture-{i}" and picture["miou"] == pytest.approx(own[i])
        assert picture["counted_pixels"] + picture["ignored_pixels"] == 9 * 11
        right = sum(tables[i][c][c] for c in range(4))
        assert picture["pixel_accuracy"] == pytest.approx(right / picture["counted_pixels"])
        assert picture["iou"]["class 1"] == pytest.approx(slow_iou(tables[i], 1))


def test_calibration_is_that_of_plain_loops(tmp_path):
    dataset = random_known(count=3, C=3, seed=5)
    numbers, _ = reported(dataset, tmp_path)
    bins = [[] for _ in range(15)]
    for truth, guess, level in zip(dataset.truths, dataset.predictions, dataset.levels, strict=True):
        for t, y, brightness in zip(truth.flat, guess.flat, level.flat, strict=True):
            if t != 255:
                sure = confidence_at(brightness, 3)
                bins[min(int(np.ceil(15 * sure)) - 1, 14)].append((sure, t == y))
    found = numbers["calibration"]
    n = sum(map(len, bins))
    ece = 0
    for told, pixels in zip(found["bins"], bins, strict=True):
        assert (told["pixels"], told["right"]) == (len(pixels), sum(right for _, right in pixels))
        if pixels:
            sure, right = np.mean(pixels, axis=0)
            assert told["confidence"] == pytest.approx(sure, rel=1e-5)
            ece += len(pixels) / n * abs(sure - right)
        else:
            assert told["confidence"] is None and told["accuracy"] is None
    assert found["ece"] == pytest.approx(ece, rel=1e-5)
    assert found["mean_accuracy"] == numbers["scores"]["pixel_accuracy"]


def test_absent_and_only_predicted_classes(tmp_path):
    """Of four classes the third is only predicted, and the fourth is nowhere."""
    truth = [[0, 0, 0, 1, 1, 1]] * 4
    guess = [[0, 0, 0, 1, 1, 2]] * 4
    dataset = Known([truth], [guess], class_names=["ground", "cell", "dust", "crack"])
    numbers, page = reported(dataset, tmp_path)
    ground, cell, dust, crack = numbers["classes"]
    assert (ground["iou"], cell["iou"], dust["iou"], crack["iou"]) == (1, pytest.approx(2 / 3), 0, None)
    assert dust["accuracy"] is None and dust["precision"] == 0 and dust["pictures"] == 0
    assert numbers["scores"]["miou"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    _, rows, foot = table_of(page, "All pixels together")
    assert rows[3] == ["crack", "0", "0 %", "0", "–", "–", "–", "–", "–"]
    assert rows[2][4:7] == ["0.000", "–", "0.000"]
    assert foot[4] == "0.556"
    kinds = {hint["kind"]: hint["class"] for hint in numbers["hints"]}
    assert kinds["only-predicted"] == "dust" and kinds["absent"] == "crack"


def test_where_nothing_counts(tmp_path):
    dataset = Known([np.full((3, 4), 255)], [np.zeros((3, 4), int)], class_names="ab", ignore_index=255)
    numbers, page = reported(dataset, tmp_path)
    assert numbers["scores"]["miou"] is None and numbers["calibration"]["ece"] is None
    assert numbers["shown"] == [] and page.all("img") == []
    assert numbers["hints"][0]["kind"] == "nothing-counts"
    assert page.one("dl", class_="tiles").all("dd", class_="value")[0].text == "–"
    assert "#worst" not in {link.attributes["href"] for link in page.all("a")}


def test_no_picture_at_all(tmp_path):
    numbers, page = reported(Known([], [], class_names="ab"), tmp_path)
    assert numbers["pictures"] == [] and table_of(page, "Numbers of each picture")[1] == []


# ---------------------------------------------------------------------------------------------------------
# The page


def test_the_page_holds_the_numbers_of_the_file(tmp_path):
    dataset = random_known(count=12, C=3, seed=1)
    numbers, page = reported(dataset, tmp_path, split="val", date="2024-02-29")
    keys = ("iou", "accuracy", "precision", "dice", "boundary_f1")
    heads, rows, foot = table_of(page, "All pixels together")
    assert heads == [
        "Class",
        "Pixels",
        "Share",
        "Pictures",
        "IoU",
        "Accuracy (recall)",
        "Precision",
        "Dice",
        "Boundary F1",
    ]
    for row, entry in zip(rows, numbers["classes"], strict=True):
        support = [f"{entry['pixels']:,}", f"{100 * entry['share']:.1f} %", str(entry["pictures"])]
        assert row == [entry["name"], *support, *(f"{entry[key]:.3f}" for key in keys)]
    means = ("miou", "mean_accuracy", "mean_precision", "mean_dice", "mean_boundary_f1")
    assert foot[4:] == [f"{numbers['scores'][key]:.3f}" for key in means]

    _, rows, foot = table_of(page, "Picture by picture")
    for row, entry in zip(rows, numbers["classes"], strict=True):
        each = entry["of_each_image"]
        assert row[1] == str(each["iou"]["pictures"])
        told = [row[2], *row[4:]]
        assert told == [f"{each[key]['mean']:.3f} ± {each[key]['deviation']:.3f}" for key in keys]
        assert f"median {each['iou']['median']:.3f}" in row[3]
    assert foot[2].startswith(f"{numbers['scores']['miou_per_image']:.3f} ± ")

    values = [value.text for value in page.one("dl", class_="tiles").all("dd", class_="value")]
    scores = numbers["scores"]
    told = [scores[key] for key in ("miou", "miou_per_image", "pixel_accuracy", "mean_boundary_f1")]
    assert values == [f"{value:.3f}" for value in [*told, numbers["calibration"]["ece"]]]

    _, rows, _ = table_of(page, "Confusion matrix")
    for row, counts in zip(rows, numbers["confusion"], strict=True):
        assert row[1:-1] == [f"{100 * pixels / sum(counts):.1f}" for pixels in counts]
        assert row[-1] == f"{sum(counts):,}"

    _, rows, _ = table_of(page, "The bins")
    for row, told in zip(rows, numbers["calibration"]["bins"], strict=True):
        assert row[1:] == [
            str(told["pixels"]),
            str(told["right"]),
            number(told["confidence"]),
            number(told["accuracy"]),
        ]

    _, rows, _ = table_of(page, "Numbers of each picture")
    order = sorted(range(12), key=lambda i: numbers["pictures"][i]["miou"])
    assert [row[0] for row in rows] == [str(i + 1) for i in order] and numbers["shown"] == order[:8]
    for row, i in zip(rows, order, strict=True):
        picture = numbers["pictures"][i]
        lowest = min(picture["iou"], key=picture["iou"].get)
        told = [picture["name"], "9 × 11", str(picture["counted_pixels"]), f"{picture['miou']:.3f}"]
        assert row[1:5] == told and row[5] == f"{picture['pixel_accuracy']:.3f}"
        assert row[6] == f"{picture['iou'][lowest]:.3f} {lowest}"

    facts = page.one("header").text
    for words in ("known", "val: validation pictures", "12 pictures", f"{12 * 99:,} pixels", "2024-02-29"):
        assert words in facts
    assert [item.text for item in page.one("ul", class_="hints").all("li")] == [
        h["text"] for h in numbers["hints"]
    ]


def test_the_worst_pictures_are_shown_as_they_are(tmp_path):
    dataset = random_known(count=11, C=3, seed=2, ignored=0)
    dataset.predictions[6] = (dataset.truths[6] + 1) % 3  # nothing is right
    dataset.truths[3][:] = 255  # nothing counts: not shown, and last in the list
    findings = report.examine(oracle(dataset), dataset, worst=4)
    numbers = findings.numbers
    mious = [picture["miou"] for picture in numbers["pictures"]]
    assert mious[6] == 0 and mious[3] is None
    numbered = [(miou, i) for i, miou in enumerate(mious) if miou is not None]
    assert (
        numbers["shown"] == [i for _, i in sorted(numbered)[:4]] == [shown.number for shown in findings.shown]
    )
    for shown in findings.shown:
        sample, guess = dataset[shown.number], dataset.predictions[shown.number]
        assert shown.panels == panels(sample.image, sample.labels, guess, dataset.palette, 255)
    page = read_page(report.page(numbers, findings.shown))
    articles = page.all("article")
    assert [article.one("h3").text for article in articles] == [
        f"{k}. picture-{i}" for k, i in enumerate(numbers["shown"], 1)
    ]
    assert "100 % of 99 pixels wrong" in articles[0].text
    assert {image.attributes["alt"] for image in articles[0].all("img")} == {
        f"{what} of picture-6" for what in ("Picture", "True labels", "Prediction", "Mistakes")
    }
    assert "4 of 11 pictures" in page.text
    assert table_of(page, "Numbers of each picture")[1][-1][1] == "picture-3"


def test_pictures_of_one_score_keep_their_order():
    dataset = Known([np.eye(3, dtype=int)] * 5, [np.eye(3, dtype=int)] * 5, class_names="ab")
    assert report.examine(oracle(dataset), dataset, worst=3).numbers["shown"] == [0, 1, 2]


def test_each_panel_shows_what_it_says():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    truth, guess = np.array([[0, 1, 2], [2, 1, 255]]), np.array([[0, 2, 2], [1, 1, 0]])
    palette = default_palette(3)
    found = panels(image, truth, guess, palette, 255)
    shown = {
        name: np.asarray(Image.open(io.BytesIO(getattr(found, name)))).tolist() for name in found._fields[1:]
    }
    white = [255, 255, 255]
    colours = [list(colour) for colour in palette]
    assert found.size == (2, 3) and shown["picture"] == image.tolist()
    assert shown["truth"] == [[colours[c] if c < 255 else white for c in row] for row in truth]
    assert shown["predicted"] == [[colours[c] for c in row] for row in guess]
    wrong = [[pixel == [204, 0, 68] for pixel in row] for row in shown["errors"]]
    assert wrong == [[False, True, False], [True, False, False]] and shown["errors"][1][2] == white


def test_large_pictures_are_made_smaller():
    truth = np.zeros((3 * LONGEST, LONGEST // 2), int)
    truth[:, 80:] = 1
    guess = truth.copy()
    guess[300:306] = 1 - guess[300:306]  # six rows are wrong: two of the small picture
    image = np.zeros((*truth.shape, 3), np.uint8)
    found = panels(image, truth, guess, default_palette(2), None)
    assert found.size == (LONGEST, 53)
    opened = {name: np.asarray(Image.open(io.BytesIO(getattr(found, name)))) for name in found._fields[1:]}
    assert {picture.shape for picture in opened.values()} == {(LONGEST, 53, 3)}
    colours = {tuple(pixel) for pixel in opened["predicted"].reshape(-1, 3).tolist()}
    assert colours == set(default_palette(2))  # no colour between two classes
    red = opened["errors"][:, :, 0].astype(int) - opened["errors"][:, :, 1]
    assert (red[99:103].max(axis=1) > 0).any() and (red[:99] == 0).all() and (red[103:] == 0).all()


def test_names_are_text_and_never_markup(tmp_path):
    truths, guesses = [np.arange(5).reshape(1, 5)] * 5, [np.zeros((1, 5), int)] * 5
    files_ = [f"{name}<img src=http://example.org/x onerror=alert(1)>" for name in NASTY]
    dataset = Known(truths, guesses, class_names=NASTY, names=files_)
    dataset.name = "<iframe src=//example.org>"
    predictor = oracle(
        dataset, {"settings": {"data": "<script>"}, "model": {"name": "<unet>", "width": 2}, "step": 7}
    )
    findings = report.examine(predictor, dataset, split="<b>", run='"><script>', date="<i>")
    folder = report.write(findings, tmp_path / "out")
    assert read_json(folder / "report.json")["classes"][0]["name"] == NASTY[0]
    assert read_json(folder / "report.json")["pictures"][4]["name"] == files_[4]
    page = read_page((folder / "report.html").read_text("utf-8"))
    assert len(page.all("script")) == 1 and page.all("iframe") == [] and page.all("i") == []
    assert all(not name.startswith("on") for element in page.all() for name in element.attributes)
    assert len(page.all("img")) == 5 * 4
    _, rows, _ = table_of(page, "All pixels together")
    assert [row[0] for row in rows] == [*NASTY[:4], "a�b�[31m�"]
    _, rows, _ = table_of(page, "Numbers of each picture")
    assert [row[1] for row in rows][:4] == files_[:4]
    assert page.all("img")[0].attributes["alt"] == f"Picture of {files_[0]}"
    assert page.one("h1").text == "<unet> on <iframe src=//example.org>"
    names = [cell.attributes["title"] for cell in page.all("td", class_="wrong strong")]
    assert f"“{NASTY[1]}” called “{NASTY[0]}”: 5 pixels" in names


def test_the_page_asks_for_nothing(tmp_path):
    findings = report.examine(oracle(random_known()), random_known())
    text = (report.write(findings, tmp_path / "out") / "report.html").read_text("utf-8")
    page = read_page(text)
    for element in page.all():
        for name, value in element.attributes.items():
            if name == "src":
                assert element.tag == "img" and value.startswith("data:image/png;base64,")
            elif name == "href":
                assert element.tag == "a" and value.startswith("#")
            else:
                assert name not in ("srcset", "action", "data", "poster", "background", "formaction")
    assert not page.all("link") and not page.all("object") and not page.all("base")
    style = page.one("style").text
    assert "://" not in text and "url(" not in style and "@import" not in style and "<" not in style
    policy = page.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    targets = {element.attributes.get("id") for element in page.all()}
    assert {a.attributes["href"][1:] for a in page.all("a")} <= targets


def test_headings_tables_and_pictures_can_be_heard(tmp_path):
    _, page = reported(random_known(count=3, C=14), tmp_path)
    assert page.one("html").attributes["lang"] == "en" and page.one("head").one("title").text
    levels = [int(e.tag[1]) for e in page.all() if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    for table in page.all("table"):
        assert len(table.one("caption").text) > 5
        assert all(th.attributes["scope"] in ("col", "row") for th in table.all("th"))
        width = {sum(1 for _ in row.children) for row in table.all("tr")}
        assert len(width) == 1, table.one("caption").text
    assert all(image.attributes["alt"] for image in page.all("img"))
    for drawing in page.all("svg"):
        assert drawing.attributes["role"] == "img" and drawing.attributes["aria-label"]
    for box in page.all("div", role="region"):
        assert box.attributes["tabindex"] == "0" and box.attributes["aria-label"]
    ids = [element.attributes["id"] for element in page.all() if "id" in element.attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("C", [2, 30, 61])
def test_any_number_of_classes(C, tmp_path):
    numbers, page = reported(random_known(count=2, C=C, size=(40, 40)), tmp_path)
    captions = [table.one("caption").text for table in page.all("table")]
    if C > 60:
        assert not any(text.startswith("Confusion") for text in captions)
        assert "it is in report.json" in page.text and len(numbers["confusion"]) == C
    else:
        heads, rows, _ = table_of(page, "Confusion")
        assert len(heads) == C + 2 and len(rows) == C


def test_a_thousand_pictures(tmp_path):
    dataset = random_known(count=1000, C=2, size=(3, 4))
    _, page = reported(dataset, tmp_path)
    assert len(page.all("img")) == 8 * 4 and "8 of 1,000 pictures" in page.text
    assert len(table_of(page, "Numbers of each picture")[1]) == 1000
    assert (tmp_path / "out" / "report.html").stat().st_size < 800_000


def test_more_pictures_than_a_page_can_list():
    evaluation, calibration = Evaluation(2, boundary=True), Calibration()
    evaluation.add(np.zeros((MOST_ROWS + 5, 1, 2), int), np.zeros((MOST_ROWS + 5, 1, 2), int))
    names = [f"p{i}" for i in range(MOST_ROWS + 5)]
    about = {"name": "x", "split": "", "seen": "no", "ignore_index": None, "told": {}}
    model = {"run": "", "name": "unet", "parameters": 1, "options": {}, "step": None, "settings": {},
             "backend": "numpy", "normalisation": {"mean": [0.0], "std": [1.0]}, "version": "0"}  # fmt: skip
    numbers = numbers_of(
        evaluation, names, default_palette(2), calibration.reliability(), data=about, model=model
    )
    page = read_page(report.page({**numbers, "hints": [], "shown": []}, []))
    assert len(table_of(page, "Numbers of each picture")[1]) == MOST_ROWS
    assert f"The {MOST_ROWS:,} worst of {MOST_ROWS + 5:,} are listed" in page.text
    assert len(numbers["pictures"]) == MOST_ROWS + 5


def test_percent_rounds_nothing_to_all_or_nothing():
    assert [percent(share) for share in (0.99951, 0.9994, 0.00051, 0.00049)] == [
        ">99.9",
        "99.9",
        "0.1",
        "<0.1",
    ]


def test_the_examples_of_the_page_on_reports_run(capsys):
    text = (Path(__file__).parents[1] / "docs" / "report.md").read_text("utf-8")
    calibration, writing = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(calibration, "report.md", "exec"), {})
    assert capsys.readouterr().out.strip() == calibration.rstrip().split("# ")[-1] == "0.13 0.79 0.7"
    exec(compile(writing, "report.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "out"


def test_every_key_is_documented():
    """Each key of report.json stands in the row of docs/report.md that is about its place."""
    numbers = report.examine(oracle(random_known()), random_known()).numbers
    text = (Path(__file__).parents[1] / "docs" / "report.md").read_text("utf-8").split("## report.json")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert list(rows) == sorted(numbers, key=list(rows).index)
    for name, place in numbers.items():
        first = place[0] if isinstance(place, list) and place else place
        for key in first if isinstance(first, dict) else ():
            assert f"`{key}`" in rows[name], f"{key} of {name}"
    assert all(f"`{key}`" in rows["calibration"] for key in numbers["calibration"]["bins"][0])
    spread = text.split("A *spread* is")[1]
    assert all(f"`{key}`" in spread for key in numbers["scores"]["miou_of_each_image"])


# ---------------------------------------------------------------------------------------------------------
# Measuring


def test_memory_does_not_grow_with_the_pictures():
    """Forty pictures more: only their counts and names remain."""
    held = []
    for count in (3, 43):
        dataset = Synthetic("shapes", size=(64, 64), count=count, seed=1)
        evaluation, calibration = Evaluation(5, boundary=True), Calibration()
        tracemalloc.start()
        for sample in dataset:
            labels = sample.labels.astype(int)
            evaluation.add(labels, labels)
            calibration.add(labels, labels, np.full(labels.shape, 0.5, np.float32))
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        del dataset
    assert (held[1] - held[0]) / 40 < 2500  # bytes a picture; its labels alone would be 4,096


def test_a_batch_doesnt_change_what_is_told():
    dataset = random_known(count=5)
    whole = [report.examine(oracle(dataset), dataset, batch=batch) for batch in (1, 4)]
    assert whole[0].numbers == whole[1].numbers and whole[0].shown == whole[1].shown


def test_a_broken_model_is_told_with_the_picture():
    dataset = random_known(count=2)
    predictor = oracle(dataset)
    predictor.model.load_state_dict({"weight": np.full((3, 3, 1, 1), np.nan, np.float32)})
    with pytest.raises(ValueError, match=r"picture picture-0: .* not finite .* lower learning rate"):
        report.examine(predictor, dataset)


# ---------------------------------------------------------------------------------------------------------
# Writing


def test_the_same_measurement_is_the_same_file(tmp_path):
    dataset = random_known()
    folders = [report.write(report.examine(oracle(dataset), dataset), tmp_path / name) for name in ("a", "b")]
    for name in (report.PAGE, report.NUMBERS):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_nothing_is_overwritten_and_nothing_is_left_half_written(tmp_path, monkeypatch):
    findings = report.examine(oracle(random_known()), random_known())
    (tmp_path / "out").write_text("mine")
    (tmp_path / "out-2").mkdir()
    assert report.write(findings, tmp_path / "out") == tmp_path / "out-3"
    assert (tmp_path / "out").read_text() == "mine" and list((tmp_path / "out-2").iterdir()) == []
    assert report.write(findings, tmp_path / "new" / "folder" / "out").is_dir()

    write, written = files.write_atomically, []

    def full(path, data):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        write(path, data)

    monkeypatch.setattr(files, "write_atomically", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space left"):
        report.write(findings, tmp_path / "out")
    assert written and sorted(tmp_path.iterdir()) == before


def test_a_folder_that_cannot_be(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is no folder; choose another place"):
        files.write_folder(tmp_path / "file" / "out", {"a": "b"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert files.write_folder(".", {"a": "b"}) == tmp_path / "here-2"  # beside, and not over what is here
    assert files.write_folder("sub", {"a": b"b"}).as_posix() == "sub"


def test_numbers_that_json_cannot_hold_are_refused(tmp_path):
    findings = report.examine(oracle(random_known()), random_known())
    findings.numbers["scores"]["miou"] = math.nan
    with pytest.raises(ValueError, match="JSON"):
        report.write(findings, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------
# Hints


def kinds(confusion, tmp_path=None, *, pictures=12, split="test", ignored=0, levels=200):
    """Return the kinds of hints for pictures whose pixels have this confusion matrix."""
    C = len(confusion)
    pairs = [(i, j) for i in range(C) for j in range(C) for _ in range(confusion[i][j])]
    truth, guess = (np.array([pair[k] for pair in pairs] + [255 * (1 - k)] * ignored)[None] for k in (0, 1))
    options = {"class_names": "abcdef"[:C], "ignore_index": 255}
    dataset = Known(
        [truth] * pictures, [guess] * pictures, [np.full(truth.shape, levels)] * pictures, **options
    )
    found = report.examine(oracle(dataset), dataset, split=split).numbers["hints"]
    return [
        (hint["kind"], hint["class"])
        for hint in found
        if hint["kind"] not in ("over-confident", "under-confident")
    ]


@pytest.mark.parametrize(
    ("confusion", "options", "expected"),
    [
        ([[50, 1], [1, 50]], {}, []),
        ([[50, 1], [1, 50]], {"split": "train"}, [("seen-in-training", None)]),
        ([[50, 1], [1, 50]], {"split": "all"}, [("seen-in-training", None)]),
        ([[50, 1], [1, 50]], {"split": "val"}, [("chosen-by", None)]),
        ([[50, 1], [1, 50]], {"pictures": 3}, [("few-pictures", None)]),
        ([[50, 1], [1, 50]], {"ignored": 60}, [("much-ignored", None)]),
        ([[50, 0], [5, 0]], {}, [("one-class-only", "a"), ("mixed-up", "b")]),
        ([[50, 1, 0], [1, 50, 0], [4, 4, 0]], {}, [("never-predicted", "c"), ("mixed-up", None)]),
        ([[50, 0, 2], [0, 50, 2], [0, 0, 0]], {}, [("only-predicted", "c")]),
        ([[50, 1, 0], [1, 50, 0], [0, 0, 0]], {}, [("absent", "c")]),
        ([[500, 1], [5, 4]], {}, [("rare-and-weak", "b"), ("missed", "b"), ("mixed-up", "b")]),
        ([[100, 8], [0, 8]], {}, [("over-predicted", "b")]),
        ([[40, 10], [0, 50]], {}, [("mixed-up", "a")]),
    ],
)
def test_hints(confusion, options, expected):
    assert [pair for pair in kinds(confusion, **options) if pair[0] != "outlines"] == expected


def test_hints_say_which_way_round():
    """Of b, half is found and all that is called b is right; with the other, it is the other way."""
    rare = {"name": "b", "accuracy": 0.5, "precision": 1.0}
    (missed,) = hints_module.found_too_much_or_too_little({"classes": [rare]})
    assert (
        missed["kind"] == "missed"
        and "found too rarely: 50.0 % of its pixels are, while 100 %" in missed["text"]
    )
    (much,) = hints_module.found_too_much_or_too_little(
        {"classes": [{**rare, "accuracy": 1.0, "precision": 0.25}]}
    )
    assert much["kind"] == "over-predicted" and "too often: only 25.0 % of what" in much["text"]


def test_hints_about_confidence():
    found = {}
    for level in (1, 60, 255):
        truth, guess = (
            np.array([[0] * 8 + [1] * 8]),
            np.array([[0] * 6 + [1] * 8 + [0] * 2]),
        )  # 3 / 4 are right
        dataset = Known([truth], [guess], [np.full((1, 16), level)], class_names="ab")
        numbers = report.examine(oracle(dataset), dataset).numbers
        found[level] = [hint["kind"] for hint in numbers["hints"] if hint["kind"].endswith("confident")]
    assert found == {1: ["under-confident"], 60: ["over-confident"], 255: ["over-confident"]}
    (sure,) = [hint["text"] for hint in numbers["hints"] if hint["kind"] == "over-confident"]
    assert "too sure of itself: it is >99.9 % sure on average and right at 75.0 % of the pixels" in sure


def test_hints_about_means_and_outlines():
    numbers = {
        "scores": {"miou": 0.9, "miou_per_image": 0.7, "mean_boundary_f1": 0.5},
    }
    (apart,) = hints_module.two_means(numbers)
    assert "0.900" in apart["text"] and "0.700" in apart["text"] and "look at the worst" in apart["text"]
    (outlines,) = hints_module.blurred_outlines(numbers)
    assert outlines["kind"] == "outlines"
    numbers["scores"]["miou_per_image"], numbers["scores"]["mean_boundary_f1"] = 0.85, 0.9
    assert not list(hints_module.two_means(numbers)) and not list(hints_module.blurred_outlines(numbers))


# ---------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    words = "train shapes --size 32 --count 4 --width 2 --depth 1 --steps 2 --batch 2 --out".split()
    with ops.use_backend("numpy"):
        assert main([*words, str(folder)]) == 0
    return folder / "shapes-unet"


def test_evaluate_writes_a_report(run, tmp_path, capsys):
    before = sorted(run.iterdir())
    words = ["evaluate", str(run), "--report", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    out = capsys.readouterr().out
    told, folder = json.loads(out.splitlines()[-1]), tmp_path / "out"
    assert told["run"] == str(folder) and f"report.html and report.json are in {folder}" in out
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    assert sorted(run.iterdir()) == before
    numbers = read_json(folder / "report.json")
    trained = read_json(run / "report.json")  # what the end of the training said of the same pictures
    assert numbers["scores"]["miou"] == trained["miou"] == told["miou"]
    assert numbers["scores"]["miou_per_image"] == trained["miou_per_image"]
    assert numbers["confusion"] == trained["confusion"]
    assert {entry["name"]: entry["boundary_f1"] for entry in numbers["classes"]} == trained["boundary_f1"]
    assert numbers["data"]["split"] == "test" and numbers["data"]["pictures"] == 64
    model = numbers["model"]
    assert model["name"] == "unet" and model["settings"]["steps"] == 2 and 1 <= model["step"] <= 2
    assert len(model["normalisation"]["mean"]) == 3 and model["run"] == str(run)
    page = read_page((folder / "report.html").read_text("utf-8"))
    assert f"checkpoint of step {model['step']}" in page.one("header").text
    assert f"{model['normalisation']['mean'][0]:.4f}" in page.text and "loss ce" in page.text
    assert main(words) == 0  # again: beside the first
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run"] == str(tmp_path / "out-2")
    again = read_json(tmp_path / "out-2" / "report.json")
    assert {**again, "date": ""} == {**numbers, "date": ""}


@pytest.mark.parametrize(
    ("words", "seen", "told"),
    [
        (["--split", "train", "--size", "32"], "trained-on", "These are pictures"),
        (["--split", "val"], "chosen-by", "chosen by its score"),
        (["shapes", "--seed", "5", "--split", "val"], "no", ""),
    ],
)
def test_numbers_that_are_too_good_are_told(run, words, seen, told, tmp_path):
    assert main(["evaluate", str(run), *words, "--count", "3", "--report", str(tmp_path / "out")]) == 0
    numbers = read_json(tmp_path / "out" / "report.json")
    kinds_ = {hint["kind"] for hint in numbers["hints"]} & {"seen-in-training", "chosen-by"}
    assert numbers["data"]["seen"] == seen and bool(kinds_) == bool(told)
    assert told in " ".join(hint["text"] for hint in numbers["hints"])


def test_what_the_model_has_seen_is_one_of_four_words():
    with pytest.raises(ValueError, match="seen is 'perhaps'; expected one of"):
        report.examine(oracle(random_known()), random_known(), seen="perhaps")


def test_an_empty_name_is_no_folder(run, capsys):
    assert main(["evaluate", str(run), "--report", ""]) == 1
    assert "--report is empty" in capsys.readouterr().err


def test_report_and_out_are_two_places(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "--report", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 1
    assert "give one of them" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
