"""What this user allows the command line to run on this machine: the study files that were run or submitted here.

A database never supplies code or commands; `trimtab evidence NAME` runs what the file says from which this user ran the
study. The register is {study uid: absolute path} in $XDG_STATE_HOME/trimtab/files.json (else ~/.local/state).
"""

import json
from pathlib import Path

from ..files import locked, user_path, write


def files() -> dict[str, str]:
    """Study uid -> path of its file; empty if there is no register or it cannot be read."""
    try:
        known = json.loads(_register().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str)} if isinstance(known, dict) else {}


def remember(uid: str, path: Path) -> None:
    """Note that study `uid` is run from the file at `path`. Raises UserError if the register cannot be written."""
    register = _register()
    if files().get(uid) == str(path):
        return
    with locked(register):
        write(register, json.dumps({**files(), uid: str(path)}, indent=0).encode())


def _register() -> Path:
    return user_path("files.json")
