"""`python tests/reference` writes the pages of names and messages, and the modules of types."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a directory that it runs on the path, and the package's name is one level above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from reference import messages, options, page, sets

    options.MODULE.write_text(options.module(), encoding="utf-8")
    sets.MODULE.write_text(sets.module(), encoding="utf-8")
    page.PAGE.write_text(page.page(), encoding="utf-8")
    messages.PAGE.write_text(messages.page(), encoding="utf-8")
    written = (options.MODULE, sets.MODULE, page.PAGE, messages.PAGE)
    print(*("written:", *written), sep="\n")
