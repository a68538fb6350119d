"""x"""

from pathlib import Path
from minisegnet.data.layouts.layout import Layout


def find(root: Path) -> Layout | None:
    return None
