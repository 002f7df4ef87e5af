"""`trimtab revise`: changes an existing study to what its file says now."""

import click

from ..errors import StudyMismatch, UserError, nearest
from .plumbing import file_storage_flag, opened, say


@click.command()
@click.argument("file")
@click.option(
    "--assume",
    multiple=True,
    metavar="NAME=VALUE",
    help="The value that old trials had for a new parameter (repeatable).",
)
@file_storage_flag
def revise(file: str, assume: tuple[str, ...]) -> None:
    """Change a study to what its FILE (YAML) says now.

    The change is an audited revision; old results stay.
    """
    from ..study import Study
    from ..studyfile import read, scalar

    given = read(file)
    values = [text.partition("=") for text in assume]
    for name, sign, _ in values:
        if not (name and sign):
            raise UserError(f"--assume {name!r}: write NAME=VALUE")
        if name not in (known := given.study["space"].names):
            raise UserError(f"--assume {name}=...: {file} has no parameter {name!r}{nearest(name, known)}")
    study = opened(given.name, given)
    before = study.record.head
    try:
        Study(given.name, storage=study.storage, **given.study)  # a changed budget is a revision by itself
    except StudyMismatch:
        words = {key: value for key, value in given.study.items() if key not in ("data", "on_change", "warm_start")}
        study.revise(assume={name: scalar(value) for name, _, value in values}, **words)
    changed = study.record.head != before
    say(f"study {given.name!r} is what {file} says" + ("" if changed else " already"))
