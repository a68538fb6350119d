"""docs/check.md: the answer that it shows is the command's own, and its table is that of the lessons."""

import json
import re
from pathlib import Path

from minisegnet.cli import main
from minisegnet.marking import as_backend_task, compare, runner
from minisegnet.marking.contract import LESSONS

PAGE = (Path(__file__).parents[1] / "docs" / "check.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.DOTALL)


def block(beginning):
    return next(text for _, text in BLOCKS if text.startswith(beginning))


def test_the_answer_shown_is_what_the_command_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("my_conv.py").write_text(block("import numpy as np"), encoding="utf-8")
    assert main(["check", "02", "my_conv.py"]) == 1
    assert capsys.readouterr().out == block("my_conv.py, lesson 2")


def test_the_names_in_json_are_those_that_the_page_explains(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("hand-ins").mkdir()
    Path("hand-ins/a.py").write_text(block("import numpy as np"), encoding="utf-8")
    Path("hand-ins/b.py").write_text("def relu(x)\n", encoding="utf-8")
    assert main(["check", "02", "hand-ins", "--json"]) == 1
    text = capsys.readouterr().out
    rows = [json.loads(line) for line in text.splitlines()]
    table = PAGE.split("one JSON object:")[1].split("For example")[0]
    for name in {*rows[0], *rows[0]["functions"][0], *rows[0]["functions"][0]["failure"]}:
        assert f"`{name}`" in table, name
    assert rows[1]["trouble"] and not rows[1]["functions"]
    Path("marks.jsonl").write_text(text, encoding="utf-8")
    exec(block("import json"))
    assert capsys.readouterr().out == f"[('{rows[0]['functions'][0]['failure']['mistake']}', 1)]\n"


def test_the_table_names_the_functions_of_each_lesson():
    rows = re.findall(r"^\| (\d+) .*? \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert {int(number): tuple(re.findall(r"`(\w+)`", ops)) for number, ops in rows} == LESSONS


def test_numbers_and_names_in_the_text():
    text = " ".join(PAGE.split())
    limits = runner.Limits()
    assert f"{limits.importing:.0f} seconds to import, {limits.call:.0f} for one call" in text
    assert limits.whole == 30 * limits.call and limits.memory == 4 * 2**30
    assert compare.TOLERANCE == {"float64": 1e-8, "float32": 3e-4}
    called = {op for model in as_backend_task.LADDERS for op in as_backend_task.called_by(model)}
    assert not {"resize_bilinear", "linear", "roi_pool"} & called
    assert {"crop2d", "add", "pad2d"} <= as_backend_task.called_by("fcn8s")


def test_the_trained_answer_has_the_form_that_the_command_prints():
    shown = " ".join(block("lessons/solutions/marked/02_convolution.py: training").split())
    for words in (
        "With your kernels a step takes",
        "So there is time for",
        "on 16 other pictures: yours NumPy mIoU",
    ):
        assert words in shown
    assert "your kernels compute what NumPy's do" in shown and "NumPy's, as your file has none:" in shown
