"""Standard streams as they may be: closed, on a full disk, a terminal that is gone. No work ends because nobody can read
about it."""

import os
import sys
from contextlib import suppress
from typing import TextIO

LOST = (OSError, ValueError)
"""What writing to a stream raises that takes nothing any more; ValueError if it is closed."""


def tell(line: str, stream: TextIO | None = None) -> None:
    """Write a line to a stream, by default standard error; it is lost if the stream takes nothing."""
    with suppress(*LOST):
        if (out := stream or sys.stderr) is not None:
            print(line, file=out, flush=True)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches a stream; None: it was closed when the program began."""
    with suppress(*LOST):
        return stream is not None and stream.isatty()
    return False


def open_closed() -> None:
    """Open the null device where this program was started with a closed standard stream (`>&-`): another file would get
    its number, and what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w"))
