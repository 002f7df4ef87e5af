"""Import paths as objectives: "train.py:objective" (a file in the working folder) or "package.module:objective"."""

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from ..canonical import storable
from ..errors import ObjectiveError, nearest

_ALIAS = "trimtab_objective_"
"""How the module of a file is called if its own name is taken: this and the name."""


def find(path: str) -> tuple[Any, str]:
    """(the callable that a path names, the source text of its module).

    A file's folder is put in front of sys.path, so that the file can import its neighbours as if it were run as a script.
    Raises ObjectiveError if there is no such file, module or name, if importing fails, or if it cannot be called.
    """
    place, colon, name = path.rpartition(":")
    if not colon or not place or not name:
        program = f"; a program is Command({path!r}), of trimtab.objective" if " " in path.strip() else ""
        raise ObjectiveError(
            f"objective={path!r} needs a ':' between file and function; write it like 'train.py:objective'{program}"
        )
    if storable(path) != path:
        raise ObjectiveError(f"objective={path!r} holds NUL, or a byte that is no UTF-8; rename the file")
    module = _from_file(Path(place), path) if place.endswith(".py") or "/" in place else _from_module(place, path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = (
                [k for k, v in vars(found).items() if callable(v) and not k.startswith("_")] if found is module else []
            )
            raise ObjectiveError(f"objective={path!r}: {place} has no {part!r}{nearest(part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise ObjectiveError(f"objective={path!r} is {found!r}, which cannot be called; name a function of the trial")
    return found, _text(module)


def defines(path: str, found: Any) -> bool:
    """Whether what a path names, `found`, is written in its file or module, and not only imported there."""
    place, _, name = path.rpartition(":")
    module = Path(place).stem if place.endswith(".py") or "/" in place else place
    written = isinstance(found, type) or inspect.isroutine(found)
    return "." not in name and (not written or found.__module__ in (module, f"{_ALIAS}{module}"))


def _text(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return module.__name__


def _from_module(name: str, path: str) -> ModuleType:
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ObjectiveError(_import_failed(path, name, error)) from None


def _from_file(file: Path, path: str) -> ModuleType:
    """Import the file as it is now, even if it was imported before.

    The module has the file's name, unless another module has it already.
    """
    if not os.path.isfile(file):
        there = [p.name for p in file.parent.glob("*.py") if p.is_file()] if os.path.isdir(file.parent) else []
        why = "is a folder" if os.path.isdir(file) else f"does not exist (from {os.getcwd()})"
        raise ObjectiveError(f"objective={path!r}: {file} {why}{nearest(file.name, there)}")
    full = file.resolve()
    if str(full.parent) not in sys.path:
        sys.path.insert(0, str(full.parent))
    taken = sys.modules.get(full.stem)
    mine = taken is None or getattr(taken, "__file__", None) == str(full)
    name = full.stem if mine and full.stem.isidentifier() else f"{_ALIAS}{full.stem}"
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise ObjectiveError(f"objective={path!r}: {file} is no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ObjectiveError(_import_failed(path, str(file), error)) from None
    return module


def _import_failed(path: str, what: str, error: BaseException) -> str:
    """The message for a failed import: the cause in one line, and the line of the file at which it failed."""
    if isinstance(error, SystemExit):
        guard = "put that under `if __name__ == '__main__':`"
        return f"objective={path!r}: importing {what} called sys.exit({error.code!r}); {guard}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(what)]
    where = f" (line {lines[-1]})" if lines else ""
    cause = str(error).strip().splitlines() or ["no message"]
    return f"objective={path!r}: importing {what} failed{where}: {type(error).__name__}: {cause[0]}; fix it, then run again"
