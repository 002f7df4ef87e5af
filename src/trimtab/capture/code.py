"""Which code an objective is: its own text, the files that contain it, and the state of the repository around them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..canonical import spelled_out
from .data import Input, Look, look
from .versions import state_of


def code(
    text: str, fingerprint: str, files: Sequence[str], last: dict[str, Look], repository: bool = True
) -> dict[str, Any]:
    """{"objective", "fingerprint", "files": {name: sha256}, "git": {commit, dirty, diff_sha256}} of an objective.

    files: those that contain it. last: earlier looks at them, kept from call to call, so that unchanged files are not
    read again. repository: whether to ask git, which takes longer than the rest.
    """
    found = {}
    for file, name in zip(files, _names(files), strict=True):
        last[file] = look(Input(file, file), last.get(file)) if os.path.exists(file) else Look({"sha256": "missing"})
        found[name] = last[file].fingerprint["sha256"]
    made: dict[str, Any] = {"objective": text, "fingerprint": fingerprint, "files": found}
    if repository and files and (git := state_of(Path(files[0]))) is not None:
        made["git"] = git
    return made


def _names(files: Sequence[str]) -> list[str]:
    """The base name of each file, with as many parent folders as needed to tell them apart: the same from anywhere."""
    paths = [Path(file).absolute().parts for file in files]

    def name(path: tuple[str, ...]) -> str:
        for n in range(1, len(path)):
            if all(other == path for other in paths if other[-n:] == path[-n:]):
                return spelled_out("/".join(path[-n:]))
        return spelled_out("/".join(path))

    return [name(path) for path in paths]
