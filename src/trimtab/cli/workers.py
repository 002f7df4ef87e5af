"""`trimtab submit` and `trimtab worker`: leave a study to workers, and be one."""

import os
import shlex

import click

from .. import streams
from .plumbing import file_storage_flag, opened_or_created, resumable, say, storage_flag, storage_option, url_of


@click.command()
@click.argument("file")
@file_storage_flag
def submit(file: str) -> None:
    """Create the study in FILE (YAML) for workers.

    Records what the study runs, and returns: `trimtab worker` does the rest.
    """
    from ..studyfile import read

    given = read(file)
    study = opened_or_created(given, file)
    study.submit(given.objective, resources=given.resources)
    path = isinstance(given.objective, str)
    allow = shlex.quote(given.allowed if path or not _is_study_file(file) else file)  # a command may be long
    say(f"study {given.name!r} waits for workers: trimtab worker --allow {allow}{storage_option(given)}")


@click.command()
@click.option(
    "--allow", multiple=True, required=True, metavar="OBJECTIVE",
    help="What may be run here: file.py[:function], package.module[:function], a command or a study file (repeatable).",
)  # fmt: skip
@click.option(
    "--study", "names", multiple=True, metavar="NAME", help="Serve only this study (repeatable); default: all."
)
@click.option("--slots", default=1, show_default=True, metavar="N", type=click.IntRange(1), help="Parallel trials.")
@click.option("--idle", metavar="DURATION", help='Exit after this time without work, such as "1m".')
@click.option("--trials", metavar="N", type=click.IntRange(1), help="Exit after this many trials.")
@click.option(
    "--data", multiple=True, metavar="NAME=PATH", help="Where a file that studies watch is here (repeatable)."
)
@click.option("--enough", is_flag=True, help="Start no more trials of a study whose remaining gain is below its noise.")
@storage_flag
def worker(
    allow: tuple[str, ...],
    names: tuple[str, ...],
    slots: int,
    idle: str | None,
    trials: int | None,
    data: tuple[str, ...],
    enough: bool,
) -> None:
    """Serve the studies in the database until SIGTERM.

    Runs only what --allow names, from its own copy of the code, never what a database says.
    """
    from ..outlook import Enough
    from ..running.worker import Worker
    from ..storage import open_storage
    from ..units import seconds

    limit = seconds(idle, "idle")
    serving = Worker(
        open_storage(url_of()),
        _objectives(allow),
        names,
        slots,
        say=streams.tell,
        trials=trials,
        data=_places(data),
        enough=Enough() if enough else None,
    )
    with resumable():
        serving.run(limit)


def _places(data: tuple[str, ...]) -> dict[str, str]:
    """The paths given by --data, by name."""
    found = {}
    for text in data:
        name, _, path = text.partition("=")
        if not name or not os.path.exists(path):
            raise click.UsageError(f"--data {text!r}: write NAME=PATH, and a path that exists")
        found[name] = path
    return found


def _objectives(allow: tuple[str, ...]) -> list[str]:
    """The objectives given by --allow; a study file stands for its objective."""
    from ..studyfile import read

    found = []
    for text in allow:
        if not text.strip():
            raise click.UsageError(
                f"--allow {text!r} allows nothing; write file.py:function, a command or a study file"
            )
        file = text.rpartition(":")[0] or text
        if _is_study_file(text):
            found.append(read(text).allowed)
        elif file.endswith(".py") and " " not in file and not os.path.exists(file):
            raise click.UsageError(f"--allow {text!r}: there is no such file; the working folder is {os.getcwd()}")
        else:
            found.append(text)
    return found


def _is_study_file(text: str) -> bool:
    """Whether --allow takes a text for the name of a study file, and not for a command."""
    return text.endswith((".yaml", ".yml")) and " " not in text


VERBS = (submit, worker)
