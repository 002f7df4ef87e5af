"""Which version of a file git or DVC has: read from local files, never from the network."""

import hashlib
import os
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

PATIENCE = 10.0  # seconds for a call of git
FRESH = 5.0  # seconds for which an answer of git is used again


def versions(path: Path) -> dict[str, Any]:
    """{"git": {...}} and {"dvc": {...}}, each if it tracks the path."""
    return {**({"git": g} if (g := _git_of(path)) else {}), **({"dvc": d} if (d := _dvc_of(path)) else {})}


def state_of(path: Path) -> dict[str, Any] | None:
    """The git repository around a path: commit, and the digest of what is not committed in tracked files."""
    root = _root(path)
    return None if root is None else _state(str(root), int(time.monotonic() / FRESH))


@lru_cache(maxsize=32)
def _state(root: str, _: int) -> dict[str, Any] | None:
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    diff = _git(root, "diff", "HEAD", "--no-ext-diff", "--binary") or b""
    return {
        "commit": commit.decode().strip(),
        "dirty": bool(diff),
        **({"diff_sha256": hashlib.sha256(diff).hexdigest()} if diff else {}),
    }


def _git_of(path: Path) -> dict[str, Any] | None:
    """The last commit that touched a tracked file, and whether the file differs from it.

    Only the repository around the working folder is asked: git runs what the configuration of a repository names, and
    one that came with the data is not the user's own.
    """
    root = _root(path)
    if root is None or not Path.cwd().resolve().is_relative_to(root):
        return None
    name = os.path.relpath(path.resolve(), root)
    commit = _git(str(root), "log", "-n1", "--format=%H", "--", name)
    if not commit or not _git(str(root), "ls-files", "--", name):
        return None
    return {"commit": commit.decode().strip(), "dirty": bool(_git(str(root), "status", "--porcelain", "--", name))}


def _root(path: Path) -> Path | None:
    full = path.resolve()
    return next((p for p in (full, *full.parents) if (p / ".git").exists()), None)


def _git(root: str, *words: str) -> bytes | None:
    """git's output; None if git is missing, fails or takes too long."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", root, *words], capture_output=True, check=True, timeout=PATIENCE, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _dvc_of(path: Path) -> dict[str, Any] | None:
    """The MD5 under which DVC tracks a file or folder (its own .dvc file, or dvc.lock above it), and whether a file has it."""
    known = _tracked(path)
    if known is None:
        return None
    if path.is_dir():
        return {"md5": known}
    with path.open("rb") as file:
        return {"md5": known, "dirty": hashlib.file_digest(file, "md5").hexdigest() != known}


def _tracked(path: Path) -> str | None:
    full = Path(os.path.abspath(path))  # "." has no name of its own
    beside = full.parent / f"{full.name}.dvc"
    if (found := _out(_yaml(beside), path, beside.parent)) is not None:
        return found
    for folder in path.resolve().parents:
        stages = _yaml(folder / "dvc.lock").get("stages")
        for stage in stages.values() if isinstance(stages, dict) else ():
            if (found := _out(stage, path, folder)) is not None:
                return found
        if (folder / ".dvc").is_dir():
            break
    return None


def _out(said: Any, path: Path, folder: Path) -> str | None:
    outs = said.get("outs") if isinstance(said, dict) else None
    for out in outs if isinstance(outs, list) else ():
        if isinstance(out, dict) and "md5" in out and (folder / str(out.get("path"))).resolve() == path.resolve():
            return str(out["md5"])
    return None


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    from ..yamltext import load

    try:
        said = load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return said if isinstance(said, dict) else {}
