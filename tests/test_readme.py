"""What the README promises can be pasted, runs; the two commands stand where readers and CI look for them."""

import re
from pathlib import Path

import pytest

from minisegnet import use_backend

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_examples_run() -> None:
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(compile(example, "README.md", "exec"), names)
    assert len(EXAMPLES) >= 2


def test_the_examples_on_training_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(examples) >= 2
    names: dict[str, object] = {}
    with use_backend("numpy"):
        for example in reversed(examples):  # the last one trains; the run it makes stands in for the demo's
            exec(compile(example.replace("runs/demo-unet", "runs/shapes-unet"), "training.md", "exec"), names)


@pytest.mark.parametrize(("heading", "ends"), [("Run", "minisegnet demo"), ("Test", "pytest")])
def test_each_command_is_one_line_in_the_first_block_under_its_heading(heading: str, ends: str) -> None:
    section = README.split(f"\n## {heading}\n")[1]
    block = re.search(r"```\w*\n(.*?)```", section, flags=re.DOTALL)
    assert block is not None
    command = block.group(1).rstrip("\n")
    assert "\n" not in command
    assert command.startswith("python3 -m venv .venv && ") and command.endswith(ends)


def test_the_pages_it_links_to_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        if "_build" in page.parts:  # the site's sources, with links of their own
            continue
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
