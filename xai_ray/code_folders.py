"""The code and the files that travel with a submitted job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xai_ray import wanted as w
from xai_ray.errors import InputError, SpecError
from xai_ray.stores import Manifest


def needs_folder(game: dict[str, Any], base: Path) -> bool:
    """Whether the game of a spec names a file, or a module, that lies beside the spec."""
    for text in _texts(game):
        module = text.split(":")[0].split(".")[0]
        beside = (base / text, base / f"{module}.py", base / module / "__init__.py") if text else ()
        if any(_there(path) for path in beside):
            return True
    return False


def within(base: Path, working_dir: str | Path | None) -> str:
    """The spec's folder as seen from the working directory."""
    if working_dir is None:
        return "."
    home = Path(working_dir).resolve()
    try:
        return base.resolve().relative_to(home).as_posix()
    except ValueError:
        raise SpecError(
            f"the spec's folder {base} is not within --working-dir {home}, so its relative paths would lead nowhere on the cluster; "
            "name a folder that holds the spec"
        ) from None


def with_code(wish: w.Wanted, working_dir: str | Path | None, py_modules: Sequence[str | Path]) -> w.Wanted:
    """The wish with the folders that are sent. InputError for one that is not there."""
    folder = None if working_dir is None else Path(working_dir).resolve()
    modules = [Path(p).resolve() for p in py_modules]
    _check_code(folder, modules)
    return replace(wish, working_dir=None if folder is None else str(folder), py_modules=tuple(map(str, modules)))


def stored_folder(manifest: Manifest) -> str | None:
    """The spec's folder, for a job that was run here before and names files that lie there."""
    document = manifest.document
    base = Path(document["base"]) if document.get("base") else None
    return str(base) if base is not None and needs_folder(document["spec"]["game"], base) else None


def _check_code(working_dir: Path | None, py_modules: Sequence[Path]) -> None:
    """Raises InputError for folders that are not there."""
    for option, path in [("--working-dir", working_dir), *(("--py-module", p) for p in py_modules)]:
        if path is not None and not path.exists():
            raise InputError(f"{option} {path}: there is no such folder")
    if working_dir is not None and not working_dir.is_dir():
        raise InputError(f"--working-dir {working_dir} is not a folder")


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for inner in node.values() for text in _texts(inner)]
    if isinstance(node, list | tuple):
        return [text for inner in node for text in _texts(inner)]
    return [node] if isinstance(node, str) else []


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
