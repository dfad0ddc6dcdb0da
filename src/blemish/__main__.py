"""Entry point of `python -m blemish`, the same as `blemish`."""

import sys

from blemish.cli import main

if __name__ == "__main__":
    sys.exit(main())
