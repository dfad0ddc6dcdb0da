"""`python -m blemish` is `blemish`."""

import sys

from blemish.cli import main

if __name__ == "__main__":
    sys.exit(main())
