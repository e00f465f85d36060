"""Which names are public, read from the sources without importing them.

A module is public where no part of its path begins with an underscore and it has an ``__all__``;
a class's members are public where their names do not begin with one, those of its private bases
with them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import griffe

PACKAGE: Final = Path(__file__).parents[2] / "python" / "pgmigrate"

Member: TypeAlias = griffe.Function | griffe.Attribute


@cache
def package() -> griffe.Module:
    """The package as griffe reads it."""
    found = griffe.load(
        PACKAGE.name,
        search_paths=[PACKAGE.parent],
        docstring_parser="google",
        # What a docstring leaves out about types stands in the signature.
        docstring_options={"warn_missing_types": False, "returns_multiple_items": False},
        allow_inspection=False,
        resolve_aliases=True,
        resolve_external=False,
    )
    assert isinstance(found, griffe.Module)
    return found


def public_modules() -> list[griffe.Module]:
    """The modules with public names, the package first, the others by their paths."""
    root = package()
    below = sorted(_below(root), key=lambda module: module.path)
    return [module for module in (root, *below) if module.exports]


def _below(module: griffe.Module) -> Iterator[griffe.Module]:
    for name, member in module.members.items():
        if isinstance(member, griffe.Module) and not name.startswith("_"):
            yield member
            yield from _below(member)


def public_names() -> dict[str, griffe.Object]:
    """Every public name with its module, such as ``pgmigrate.Plan``, and what it stands for."""
    found = {}
    for module in public_modules():
        for name in sorted(str(name) for name in module.exports or ()):
            member = module.members[name]
            found[f"{module.path}.{name}"] = (
                member.final_target if isinstance(member, griffe.Alias) else member
            )
    return found


def bases(of: griffe.Class) -> list[griffe.Class]:
    """The bases of a class that are the package's own."""
    return [base for base in of.resolved_bases if isinstance(base, griffe.Class)]


def members(of: griffe.Class) -> dict[str, Member]:
    """The public methods and attributes of a class, with those of bases that have no entry.

    What a base's entry says is not among them, unless the class has something to add. Class
    methods, which make the value, come first.
    """
    reported: set[str] = set()
    inherited: dict[str, Member] = {}
    for base in bases(of):
        if is_inlined(base):
            inherited.update(members(base))
        else:
            reported |= base.all_members.keys()
    found = {
        name: member
        for name, member in of.members.items()
        if isinstance(member, griffe.Function | griffe.Attribute)
        and not name.startswith("_")
        and (name not in reported or member.has_docstring)
    }
    every = found | {name: member for name, member in inherited.items() if name not in found}
    return dict(sorted(every.items(), key=lambda item: "classmethod" not in item[1].labels))


def awaited_twin(name: str, names: Container[str]) -> str | None:
    """The method that another one does as an awaitable."""
    twin = name.removesuffix("_async")
    return twin if twin != name and twin in names else None


@cache
def shared_bases() -> dict[str, griffe.Class]:
    """The bases, public under no name, of several public classes: they have entries, too."""
    public = {target.path: target for target in public_names().values()}
    users: dict[str, set[str]] = {}
    found: dict[str, griffe.Class] = {}
    for path, target in public.items():
        for base in every_base(target):
            users.setdefault(base.path, set()).add(path)
            found[base.path] = base
    return {
        path: base for path, base in found.items() if path not in public and len(users[path]) > 1
    }


def every_base(of: griffe.Object) -> Iterator[griffe.Class]:
    """The bases of a class and theirs, as far as they are the package's own."""
    for base in bases(of) if isinstance(of, griffe.Class) else ():
        yield base
        yield from every_base(base)


def is_inlined(base: griffe.Class) -> bool:
    """Whether a base has no entry, so that its members stand with those of the class."""
    named = any(target.path == base.path for target in public_names().values())
    return not named and base.path not in shared_bases()
