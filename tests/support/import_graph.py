"""The import structure of the package: rooms, arrows between them, cycles, loose modules, lines.

A room is a package directly under `babyai_kit`, each room of `babyai_kit.local`, or a loose module at the
top. An arrow goes from a room to one that it imports from; imports inside functions count, those under
`if TYPE_CHECKING:` do not, since they are not there at run time.
`python -m tests.support.import_graph [ROOT]` prints all of it for the checkout at ROOT.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

PACKAGE = "babyai_kit"
NESTED = "local"
"""The room whose own rooms are counted one by one."""


@dataclass(frozen=True)
class ImportGraph:
    rooms: tuple[str, ...]
    loose: tuple[str, ...]
    """Modules directly under the package, `__init__` left out."""
    arrows: Mapping[str, frozenset[str]]
    """The rooms that each room imports from; itself left out."""
    lines: int
    """Of all Python files of the package."""

    def cycles(self) -> list[frozenset[str]]:
        """Sets of rooms, each of which reaches every other one of its set by arrows."""
        reachable = {room: self._reachable_from(room) for room in self.rooms}
        sets = {
            frozenset(other for other in reachable[room] if room in reachable[other]) for room in self.rooms
        }
        return sorted((rooms for rooms in sets if len(rooms) > 1), key=sorted)

    def _reachable_from(self, room: str) -> set[str]:
        reached: set[str] = set()
        frontier = [room]
        while frontier:
            fresh = self.arrows[frontier.pop()] - reached
            reached |= fresh
            frontier += fresh
        return reached

    def __str__(self) -> str:
        arrows = sum(len(targets) for targets in self.arrows.values())
        cycles = "; ".join(", ".join(sorted(rooms)) for rooms in self.cycles())
        return "\n".join(
            [
                f"{len(self.rooms)} rooms, {arrows} arrows, {self.lines} lines",
                f"{len(self.loose)} loose modules: {', '.join(self.loose)}",
                f"cycles: {cycles or 'none'}",
                *(f"{room} -> {', '.join(sorted(self.arrows[room])) or 'nothing'}" for room in self.rooms),
            ]
        )


def import_graph(root: Path = ROOT) -> ImportGraph:
    """The graph of the package under `root`."""
    files = {_module_name(path.relative_to(root)): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    arrows: dict[str, set[str]] = defaultdict(set)
    for module, path in files.items():
        targets = {_room(target) for target in _imports(path, files)}
        arrows[_room(module)] |= targets - {_room(module)}
    return ImportGraph(
        rooms=tuple(sorted(arrows)),
        loose=tuple(
            path.stem for path in files.values() if path.parent.name == PACKAGE and path.stem != "__init__"
        ),
        arrows={room: frozenset(targets) for room, targets in arrows.items()},
        lines=sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files.values()),
    )


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    """`babyai_kit.stats.tables` is in `stats`, `babyai_kit.local.player.server` in `local.player`."""
    parts = module.split(".")[1:]
    depth = 2 if parts[:1] == [NESTED] else 1
    return ".".join(parts[:depth]) or PACKAGE


def _imports(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The package's modules that the file imports when it runs."""
    for node in _runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in modules else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below `node` but those under `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for statement in child.orelse:
                yield statement
                yield from _runtime_nodes(statement)
        else:
            yield child
            yield from _runtime_nodes(child)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the import structure of the package.")
    parser.add_argument("root", type=Path, nargs="?", default=ROOT, help="a checkout (default: this one)")
    print(import_graph(parser.parse_args().root))
