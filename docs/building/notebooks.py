"""Percent scripts and Markdown pages with examples become notebooks, and notebooks are run.

Each cell runs with warnings as errors, in a fresh folder, in a kernel that sees nobody's own configuration. What came
out is kept, so that the next build runs only what has changed: a notebook is run again when its text, the package,
the interpreter or a file that it reads is another one.
"""

import asyncio
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from building.pages import ROOT

EXAMPLE = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
JUPYTERS_OWN = "ipykernel|jupyter|IPython|traitlets|zmq|tornado|asyncio"
STRICT = (
    "import warnings; warnings.simplefilter('error'); "
    f"warnings.filterwarnings('ignore', module='{JUPYTERS_OWN}')"  # not the lesson's, which hears of its own only
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LIMIT = 300  # seconds for one cell: something hangs


def from_script(text: str) -> Any:
    """Make a notebook of a percent script. Cells that show pictures say what the pictures are called."""
    import jupytext

    notebook = jupytext.reads(text, fmt="py:percent")
    for cell in notebook.cells:
        shown = re.findall(r'\.show\(.*"(\w+)"\)', cell.source) if cell.cell_type == "code" else []
        if shown:
            cell.metadata["mystnb"] = {"image": {"alt": f"picture: {shown[-1].replace('_', ' ')}"}}
    return notebook


def from_page(text: str) -> Any:
    """Make a notebook of a Markdown page: its blocks of Python are the cells that run."""
    parts = EXAMPLE.split(text)
    cells = []
    for i, part in enumerate(parts):
        make = nbformat.v4.new_code_cell if i % 2 else nbformat.v4.new_markdown_cell
        if part.strip():
            cells.append(make(part.strip("\n")))
    return nbformat.v4.new_notebook(cells=cells)


def fingerprint(*folders: str) -> str:
    """Return a digest of what stands in some folders of the repository, and of the interpreter that runs it."""
    digest = hashlib.sha256(f"{sys.version}{os.environ.get('MINISEGNET_BACKEND')}".encode())
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def executed(
    name: str, notebook: Any, kept: Path, package: str, given: dict[str, Path] | None = None
) -> tuple[Any, float]:
    """Run a notebook, or take what was kept of it. Return it and the seconds it took (0 if it was kept).

    Parameters
    ----------
    name
        The page's, such as ``lessons/02_convolution``.
    notebook
        From :func:`from_script` or :func:`from_page`.
    kept
        The folder in which outputs are kept.
    package
        :func:`fingerprint` of it.
    given
        Files that the notebook finds in its folder, by the names that it knows them by.
    """
    sources = [[cell.cell_type, cell.source] for cell in notebook.cells]
    digest = hashlib.sha256(f"{package}{sources}".encode())
    for path in (given or {}).values():
        digest.update(path.read_bytes())
    file = kept / f"{name}.ipynb"
    if file.exists():
        old = nbformat.read(file, as_version=4)
        if old.metadata.get("minisegnet") == digest.hexdigest():
            return old, 0.0
    started = time.perf_counter()
    _run(name, notebook, given or {})
    took = time.perf_counter() - started
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook.metadata["minisegnet"] = digest.hexdigest()
    file.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, file)
    return notebook, took


def _run(name: str, notebook: Any, given: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for known_as, path in given.items():
            shutil.copy(path, Path(folder, known_as))
        settings = {
            "JUPYTER_PREFER_ENV_PATH": "1",  # this interpreter's kernel, whatever the user has installed
            "JUPYTER_NO_CONFIG": "1",
            "IPYTHONDIR": str(Path(folder, "ipython")),
            "MINISEGNET_OUTPUT": str(Path(folder, "pictures")),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
        client = NotebookClient(
            notebook,
            timeout=LIMIT,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=[
                f"--IPKernelApp.exec_lines={STRICT}",
                "--HistoryManager.enabled=False",
                "--log-level=ERROR",
            ],
        )
        try:
            asyncio.run(client.async_execute(env=os.environ | settings))
        except CellExecutionError as error:
            raise SystemExit(f"{name} failed:\n{COLOURS.sub('', str(error))}") from None
        unwanted = [o for c in notebook.cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
        if unwanted:
            raise SystemExit(f"{name} wrote on standard error:\n{unwanted[0]['text']}")
