"""`python tests/reference` writes the reference page and the generated modules of types again."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a directory that it runs on the path, and the package's name is one level above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from reference import options, page, sets

    options.MODULE.write_text(options.module(), encoding="utf-8")
    sets.MODULE.write_text(sets.module(), encoding="utf-8")
    page.PAGE.write_text(page.page(), encoding="utf-8")
    print(f"written to {options.MODULE}, {sets.MODULE} and {page.PAGE}")
