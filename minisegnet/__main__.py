"""``python -m minisegnet`` is the same as ``minisegnet``."""

import sys

from minisegnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
