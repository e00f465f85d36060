"""`python tests/reference` writes the pages of names and messages, and the typed keywords."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a directory that it runs on the path, and the package's name is one level above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from reference import messages, options, page

    options.MODULE.write_text(options.module(), encoding="utf-8")
    page.PAGE.write_text(page.page(), encoding="utf-8")
    messages.PAGE.write_text(messages.page(), encoding="utf-8")
    print(f"written to {options.MODULE}, {page.PAGE} and {messages.PAGE}")
