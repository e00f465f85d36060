"""pgmigrate[demo]: two servers from PyPI, and a migration between them."""

from __future__ import annotations

import sys

from pgmigrate.demo import run_demo
from pgmigrate.embedded import find_installations

found = find_installations()
assert all(found[major].is_relative_to(sys.prefix) for major in (16, 18)), found
assert run_demo(scale=0.01)
