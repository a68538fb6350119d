"""The hash of each kernel's text, and which have changed since a GPU last ran them."""

import hashlib
import json
from pathlib import Path

from minisegnet.backends.cupy import manifest

RESULTS = Path(__file__).parent.parent / "results"
NEVER = "never"


def hashes() -> dict[str, str]:
    """Return the SHA-256 of the text that is compiled for each source: prelude and file."""
    return {
        source: hashlib.sha256(manifest.text(source).encode()).hexdigest() for source in manifest.sources()
    }


def last_record(folder: Path = RESULTS) -> Path | None:
    """Return the newest record of a GPU; None where there is none."""
    return max(folder.glob("gpu-*.json"), default=None)


def changed(folder: Path = RESULTS) -> tuple[dict[str, str], Path | None]:
    """Say for each source that the last record doesn't have as it is now what became of it, and name that record."""
    path = last_record(folder)
    ran = {} if path is None else json.loads(path.read_text(encoding="utf-8"))["kernels"]
    found = {}
    for source, now in hashes().items():
        if source not in ran:
            found[source] = NEVER
        elif ran[source] != now:
            found[source] = "changed since"
    return found, path


def report(folder: Path = RESULTS) -> str:
    """Say in words which kernels no GPU has run as they are now."""
    found, path = changed(folder)
    if path is None:
        return f"no GPU has run the CUDA kernels yet: {', '.join(found)}"
    if not found:
        return f"the CUDA kernels are those that a GPU ran last ({path.name})"
    lines = [f"since a GPU ran the CUDA kernels last ({path.name}):"]
    return "\n".join(
        [*lines, *(f"  {source}.cu: {'new' if how == NEVER else how}" for source, how in found.items())]
    )
