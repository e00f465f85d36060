"""``python -m pgmigrate``: the command line."""

import sys

from pgmigrate.cli import main

if __name__ == "__main__":
    sys.exit(main())
