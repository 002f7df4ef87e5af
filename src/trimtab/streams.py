"""Writing to standard streams, which may be closed, on a full disk, or on a terminal that is gone: then what is written is
lost, and the work goes on."""

import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

LOST = (OSError, ValueError)
"""What writing to such a stream raises; ValueError if it is closed."""


def visible(text: str) -> str:
    """The text with its control characters made visible, except for tabs, new lines and colours: what others have written
    into a record (names, notes, outputs) must not steer the terminal, its title or its clipboard."""
    return _CONTROL.sub(_shown, text.replace("\r\n", "\n").replace("\r", "\n"))


_CONTROL = re.compile(r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0][0])
    return found[1] or (chr(0x2400 + code) if code < 32 else "\ufffd")


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line to a stream, by default standard error; it is lost if the stream takes nothing."""
    with suppress(*LOST):
        if (out := stream or sys.stderr) is not None:
            print(visible(line), file=out, flush=True)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches a stream; None: it was closed when the program began."""
    with suppress(*LOST):
        return stream is not None and stream.isatty()
    return False


def open_closed() -> None:
    """Open the null device where this program was started with a closed standard stream (`>&-`): otherwise the
    next file to be opened would get its number, and all that is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w"))


def escape_unwritable() -> None:
    """Let standard output show what its encoding lacks (a Greek letter in Latin-1) by its number, as standard error does."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
