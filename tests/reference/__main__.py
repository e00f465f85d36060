"""`python tests/reference` writes the reference page anew."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a directory that it runs on the path, and the package's name is one level above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from reference.page import PAGE, page

    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")
