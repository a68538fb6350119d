"""What the package must never do: unpickle, run text as code, or fetch anything."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minisegnet

ROOT = Path(minisegnet.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

UNPACKERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
NETWORK = {
    "socket", "ssl", "urllib", "urllib3", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "telnetlib",
    "xmlrpc", "socketserver", "asyncio", "huggingface_hub", "torch", "wget", "pooch", "gdown", "boto3", "webbrowser",
}  # fmt: skip
CODE = {"eval", "exec", "compile", "__import__"}


def forbidden(source: str) -> list[str]:
    """Name what a file does that it must not: by its imports, its calls and its arguments."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            modules = []
        found += [f"imports {name}" for name in modules if name.split(".")[0] in UNPACKERS | NETWORK]
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        found += [f"calls {name}"] * (name in CODE)
        for argument in node.keywords:
            value = argument.value
            if argument.arg == "allow_pickle" and not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                found.append("allow_pickle")
            if argument.arg == "shell" and not (isinstance(value, ast.Constant) and value.value is False):
                found.append("shell")
        if isinstance(node.func, ast.Attribute):
            its = node.func.attr
            called = ast.unparse(node.func)
            found += [f"calls {called}"] * (
                called in ("np.load", "numpy.load") and not _forbids_pickles(node)
            )
            found += [f"calls {called}"] * (
                its in ("tofile", "fromfile") or called in ("os.system", "os.popen")
            )
            if its == "import_module" and node.args and isinstance(node.args[0], ast.Constant):
                found += [f"imports {node.args[0].value}"] * (
                    node.args[0].value.split(".")[0] in UNPACKERS | NETWORK
                )
    return found


def _forbids_pickles(call: ast.Call) -> bool:
    """Say whether a call of np.load says so itself; that it is NumPy's default today isn't enough."""
    return any(argument.arg == "allow_pickle" for argument in call.keywords)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_unpickles_or_runs_text_or_fetches_anything(path: Path) -> None:
    assert forbidden(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import urllib.request",
        "def f():\n    import socket",
        "import numpy as np\nnp.load('a.npy', allow_pickle=True)",
        "import numpy as np\nnp.load('a.npy')",
        "import numpy as np\nnp.save('a.npy', a, allow_pickle=flag)",
        "eval('1')",
        "exec(text)",
        "__import__('pickle')",
        "import importlib\nimportlib.import_module('pickle')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import os\nos.system('ls')",
    ],
)
def test_the_check_notices(source: str) -> None:
    assert forbidden(source)


def test_everything_is_looked_at() -> None:
    assert len(FILES) > 150 and ROOT / "data" / "reading.py" in FILES
    assert not [
        path for path in ROOT.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".so", ".pyd")
    ]


def test_importing_opens_no_connection(tmp_path: Path) -> None:
    """Import every module and read a folder with all ways into the network closed, and say which one was tried."""
    program = """
import pkgutil, sys, importlib, socket

def closed(*arguments, **keywords):
    raise AssertionError("somebody opened a connection")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = closed
import minisegnet
for info in pkgutil.walk_packages(minisegnet.__path__, "minisegnet."):
    if not info.name.endswith("__main__") and ".cupy" not in info.name:
        importlib.import_module(info.name)
from minisegnet.data import open_dataset
len(open_dataset("shapes", "train")[0].image)
print("pickle" if "torch" in sys.modules else "well")
"""
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path), "PYTHONPATH": str(ROOT.parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout.strip() == "well", done.stderr
