"""Time over pixels, errors of float32, and the page on speed: all from the records. Nothing here asserts a speed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cases, contenders, errors, measure, networks, page, picture, scaling
from benchmarks.__main__ import parser
from minisegnet import ops
from minisegnet.backends import numpy as numpy_kernels

ROOT = Path(__file__).parent.parent
PNG = b"\x89PNG\r\n\x1a\n"


def options_of(*words):
    return parser().parse_args(list(words))


# ---------------------------------------------------------------------------------------------------------
# Scaling


def test_a_line_through_points():
    line = scaling.fit([1.0, 2.0, 4.0], [3.0, 5.0, 9.0])
    assert line.start == pytest.approx(1) and line.slope == pytest.approx(2)
    assert line.farthest == pytest.approx(0, abs=1e-9)
    bent = scaling.fit([1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 9.0, 16.0])
    assert bent.farthest > 0.2


class DependsOnThreads:
    """Has one gradient whose last bit is another one on two threads."""

    def __init__(self, monkeypatch):
        self.threads = 0
        monkeypatch.setattr(contenders, "set_threads", lambda threads: setattr(self, "threads", threads))

    def context(self):
        return ops.use_backend("numpy")

    def outcome(self):
        one = np.ones(3, np.float32)
        other = one + np.float32(1.2e-7) * (self.threads == 2)
        return contenders.Outcome(one, 1.0, {"head.weight": other, "head.bias": one})


def test_one_bit_that_depends_on_threads_is_found(monkeypatch):
    changing = DependsOnThreads(monkeypatch)
    assert scaling.differing_gradients(changing, [1, 2]) == ["head.weight"]
    assert scaling.differing_gradients(changing, [1, 1]) == []


def test_scaling_writes_a_record_and_fails_where_bits_differ(monkeypatch, tmp_path, capsys):
    few = [("pixels", 1, 32), ("pixels", 1, 48), ("batch", 1, 32), ("batch", 2, 32)]
    monkeypatch.setattr(scaling, "points", lambda scale: few)
    words = [
        "scaling",
        "--quick",
        "--backends",
        "numpy",
        "--repeats",
        "1",
        "--threads",
        "2",
        "--out",
        str(tmp_path),
    ]
    assert scaling.command(options_of(*words), words) == 0
    record = json.loads((tmp_path / "scaling.json").read_text(encoding="utf-8"))
    assert [row["bit_identical"] for row in record["rows"]] == [True] * 4
    assert set(record["rows"][0]["results"]) == {"1", "2"}
    assert (tmp_path / "scaling.png").read_bytes()[:8] == PNG
    assert "the same bits in every row" in capsys.readouterr().out
    monkeypatch.setattr(scaling, "differing_gradients", lambda ours, numbers: ["head.weight"])
    assert scaling.command(options_of(*words), words) == 1
    assert "OTHER BITS in 4 rows" in (tmp_path / "scaling.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------------------
# Errors


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: f"{case.op}-{case.name}")
def test_float32_and_float64_get_the_same_numbers(case):
    one, other = case.problem("toy", "float32"), case.problem("toy", "float64")
    for a, b in zip(one.leaves + one.constants, other.leaves + other.constants, strict=True):
        assert np.array_equal(a, b)
    for call, same in ((one.forward, other.forward),):
        for a, b in zip(call.reads, same.reads, strict=True):
            assert np.array_equal(a, b)


def test_an_error_is_measured_where_it_was_made(monkeypatch):
    right = numpy_kernels.relu

    def coarse(x):
        y = right(x)
        if x.dtype == np.float32:
            y = y.copy()
            y.flat[np.argmax(y)] *= np.float32(1.001)
        return y

    monkeypatch.setattr(numpy_kernels, "relu", coarse)
    relu = next(case for case in cases.CASES if case.op == "relu")
    runners = {errors.NUMPY: errors.there(torch=False)[errors.NUMPY]}
    (row,) = errors.of_case(relu, "toy", runners)
    assert row["result"] == "y" and row["errors"]["numpy"] == pytest.approx(1e-3, rel=1e-3)


def test_what_isnt_rounded_has_no_row():
    crop = next(case for case in cases.CASES if case.op == "crop2d")
    assert errors.of_case(crop, "toy", errors.there(torch=False)) == []


def test_errors_of_a_network_are_small_and_are_written(tmp_path):
    runners = {errors.NUMPY: errors.there(torch=False)[errors.NUMPY]}
    situation = networks.SITUATIONS[0]._replace(batch=2, size=(32, 32))
    row = errors.of_network(networks.NETWORKS[0]._replace(width=2), situation, runners)
    assert 0 < row["errors"]["numpy"]["scores"] < 1e-3 and row["errors"]["numpy"]["loss"] < 1e-5
    conv = next(case for case in cases.CASES if case.op == "conv2d")
    record = {
        **{"command": "a test", "machine": MACHINE, "threads": {"asked for": 1}, "date": "2026-01-01"},
        "settings": {"dtype": "float32", "scale": "toy", "repeats": 1},
        "runners": ["numpy"],
        "ops": errors.of_case(conv, "toy", runners),
        "networks": [row],
    }
    _, text, drawn = errors.write(record, tmp_path)
    assert "| unet, 2x3x32x32 | loss |" in text.read_text(encoding="utf-8")
    assert drawn.read_bytes()[:8] == PNG


MACHINE = {"cpu": "a CPU", "cores": 2, "system": "Linux", "python": "3", "versions": {}, "load": 0.0}


# ---------------------------------------------------------------------------------------------------------
# The page


@pytest.fixture(scope="module")
def records():
    return picture.load(ROOT / "benchmarks" / "results")


def test_the_figures_on_the_page_are_those_of_the_records(records):
    text = picture.PAGE.read_text(encoding="utf-8")
    assert page.filled(text, records) == text, "run python -m benchmarks picture"


def test_the_page_shows_all_that_can_be_shown():
    text = picture.PAGE.read_text(encoding="utf-8")
    asked = {name for _, name, _, _ in page.MARKED.findall(text)}
    assert asked == set(page.FIGURES)
    assert text.count("<!-- record:") == len(page.MARKED.findall(text)) == text.count("<!-- end -->")


def test_no_figure_on_the_page_was_typed_by_hand():
    """Times and speeds stand between the marks only: outside there is no number with one of their units."""
    text = page.MARKED.sub("", picture.PAGE.read_text(encoding="utf-8"))
    assert not re.findall(r"\d\s?(?:ms|GB/s|GFLOP/s|x as fast|times as fast)\b", text)


def test_a_figure_follows_its_record(records):
    changed = json.loads(json.dumps(records))
    changed["ops"]["roofline"]["flops_per_s"] = 123e9
    assert (
        page.filled("<!-- record: peak -->old<!-- end -->", changed) == "<!-- record: peak -->123<!-- end -->"
    )
    with pytest.raises(ValueError, match="asks for 'speed of light'; there are: peak"):
        page.filled("<!-- record: speed of light --><!-- end -->", records)


def test_the_examples_on_the_page_run():
    examples = re.findall(r"```python\n(.*?)```", picture.PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(examples) == 2
    names = {}
    for example in examples:
        exec(compile(example, "performance.md", "exec"), names)
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal(4), rng.standard_normal(3)
    assert np.allclose(names["two_outputs"](*d, *g), np.correlate(d, g, "valid"))


def test_the_pictures_are_drawn(records, tmp_path):
    picture.overview(records, tmp_path / "overview.png")
    picture.draw_roofline(records["ops"], tmp_path / "roofline.png")
    for name in ("overview", "roofline"):
        assert (tmp_path / f"{name}.png").read_bytes()[:8] == PNG


def test_the_overview_shows_what_there_are_goals_for(records):
    shown = picture.speeds(records)
    assert {kind for _, kind, *_ in shown} <= set(picture.KINDS)
    assert not any(label.startswith("sigmoid") for label, *_ in shown)
    for name in records["models"]["rows"]:
        assert any(label == name["network"] for label, *_ in shown) or "torch" not in name["results"]


def test_a_missing_record_is_no_silent_gap():
    with pytest.raises(FileNotFoundError):
        picture.load(ROOT / "benchmarks" / "gpu")
    assert measure.TOGETHER == "forward+backward"
