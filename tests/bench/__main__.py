"""`python tests/bench`: see README.md in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a directory that it runs on the path, and the package's name is one level above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    if sys.argv[1:2] == ["planning"]:
        from bench import planning

        sys.exit(planning.main(sys.argv[2:]))
    if sys.argv[1:2] == ["import"]:
        from bench import import_time

        sys.exit(import_time.main(sys.argv[2:]))
    if sys.argv[1:2] == ["large-objects"]:
        from bench import large_objects

        sys.exit(large_objects.main(sys.argv[2:]))
    from bench.command import main

    sys.exit(main())
