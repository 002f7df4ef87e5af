"""`python -m trimtab` is the command line, too."""

from .cli import main

main()
