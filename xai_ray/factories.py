"""Functions and classes that a spec names as `package.module:name`: imported here, from the modules that are allowed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xai_ray.errors import InputError, SpecError

ALLOWED = "XAI_RAY_FACTORIES"
"""Environment variable: comma-separated prefixes of modules that factories may come from; unset allows every importable module."""

_FOLDERS: set[Path] = set()
"""Folders of specs whose factories were looked for beside them in this process."""


def imported(reference: str, base: Path, where: str) -> Callable[..., Any]:
    """What `package.module:name` names; it may lie beside the spec in `base`. Raises SpecError and InputError that begin with `where`."""
    module_name, function = reference.split(":")
    allowed = [p.strip() for p in os.environ.get(ALLOWED, "").split(",") if p.strip()]
    if allowed and not any(module_name == p or module_name.startswith(p + ".") for p in allowed):
        raise SpecError(f"{where}: factories may come from {', '.join(allowed)} here ({ALLOWED})")
    # A factory may lie beside its spec; the folder goes last, so that it cannot hide an installed module.
    if str(base) not in sys.path:
        sys.path.append(str(base))
    _FOLDERS.add(base.resolve())
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(f"{where}: cannot import {module_name!r}: {error}") from error
    except Exception as error:
        raise InputError(f"{where}: importing {module_name!r} raised {type(error).__name__}: {error}") from error
    _check_own(module, module_name, base.resolve(), where)
    try:
        return getattr(module, function)
    except AttributeError:
        names = [n for n in dir(module) if not n.startswith("_") and callable(getattr(module, n, None))]
        raise InputError(f"{where}: {module_name} has no {function!r}; it has {', '.join(names[:12])}") from None


def made(make: Callable[..., Any], arguments: Mapping[str, Any], where: str) -> Any:
    """What a factory returns. Its own InputError and SpecError pass; what else it raises becomes an InputError that begins with `where`."""
    try:
        return make(**arguments)
    except (InputError, SpecError):
        raise
    except Exception as error:
        raise InputError(f"{where} raised {type(error).__name__}: {error}") from error


def _check_own(module: Any, name: str, base: Path, where: str) -> None:
    """Python keeps one module of a name: the one beside another spec must not pass for the one beside this spec."""
    place = base.joinpath(*name.split("."))
    own = next((p for p in (place.with_name(f"{place.name}.py"), place / "__init__.py") if p.is_file()), None)
    found = getattr(module, "__file__", None)
    if own is None or found is None or Path(found).resolve() == own.resolve():
        return
    if Path(found).is_file() and Path(found).read_bytes() == own.read_bytes():
        return
    if any(Path(found).resolve().is_relative_to(folder) for folder in _FOLDERS - {base}):
        raise InputError(
            f"{where}: this process has loaded {name!r} from {found}, so {own} would not be used; give one of them another name, or "
            "take a process for each spec"
        )
