"""What all commands share: errors as one line, the store, the study, and the study's file."""

import errno
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from .. import streams
from ..checks import without_password
from ..errors import StorageError, StudyMismatch, StudyNotFound, TrimtabError, UserError, nearest
from ..formatting import command

if TYPE_CHECKING:
    from ..study import Study
    from ..studyfile import StudyFile

DEFAULT = "sqlite:///trimtab.db"


class Ended(Exception):
    """Ends a command early, with an exit status and a line on standard error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Verbs(click.Group):
    """A command group whose errors are one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"there is no command {args[0]!r}{nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        streams.open_closed()
        streams.escape_unwritable()
        try:
            status = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = 2
        except BrokenPipeError:  # the reader has gone; nobody is left to be told
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except Exception as error:
            status, text = _verdict(error)
            streams.tell(f"trimtab: {text}")
        sys.exit(status if isinstance(status, int) else 0)


def _verdict(error: Exception) -> tuple[int, str]:
    """Exit status and text of an error; an unexpected one is raised again."""
    match error:
        case Ended():
            return error.status, str(error)
        case click.Abort():
            return 130, "interrupted"
        case click.ClickException():
            text = " ".join([*error.format_message().split(), *_after_dashes(error)])
            return 2, text.replace("a valid integer range", "a whole number").replace("a valid float range", "a number")
        case UserError():
            return 2, str(error)
        case TrimtabError():
            return 1, str(error)
        case FileNotFoundError(filename=None):
            return 2, "the working folder does not exist any more; change to another one, and run the same again"
        case OSError(filename=None, errno=errno.ENOSPC):
            return 2, "standard output cannot be written: the disk is full"
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return 2, f"{where}{error.strerror or error}"
    raise error


def _after_dashes(error: click.ClickException) -> Iterator[str]:
    """An unknown option may be the name of a study or a file."""
    if isinstance(error, click.NoSuchOption) and error.ctx and not error.option_name.startswith("--"):
        for p in error.ctx.command.params:
            if isinstance(p, click.Argument):
                what = p.human_readable_name
                yield f"A {what} that begins with - stands after --: {error.ctx.command_path} -- {what}"
                break


def say(text: str = "", nl: bool = True) -> None:
    """Print to standard output: exactly to a file or a program, and so that it cannot steer a terminal."""
    click.echo(streams.visible(text) if streams.is_terminal(sys.stdout) else text, nl=nl)


ANEW = "nothing was recorded. Begin anew with"
"""For `resumable`, if what was interrupted has no queue, and cannot be continued."""


@contextmanager
def resumable(how: str = "running trials were given back to the queue. Go on with") -> Iterator[None]:
    """A context in which Ctrl-C and SIGTERM end with the command that continues; `how` introduces it."""
    try:
        yield
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args and isinstance(stop.args[0], int) else 2
        said = [without_password(a) if "://" in a else a for a in sys.argv[1:] if a != "--fresh"]
        again = shlex.join(["trimtab", *said])
        raise Ended(128 + number, f"interrupted; {how}: {again}") from None


# --------------------------------------------------------------------------------------------------------- the record


def _keep(ctx: click.Context, _: click.Parameter, url: str | None) -> str | None:
    """--storage means the same before and after the command; the later one wins."""
    if url is not None:
        ctx.find_root().meta["trimtab.storage"] = url
    return url


_OPTION: Mapping[str, Any] = {"metavar": "URL", "expose_value": False, "callback": _keep}
storage_flag = click.option("--storage", **_OPTION, help=f"The database; default: $TRIMTAB_STORAGE, else {DEFAULT}.")
file_storage_flag = click.option(
    "--storage", **_OPTION, help=f"The database; default: $TRIMTAB_STORAGE, else that of FILE, else {DEFAULT}."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
file_option = click.option(
    "--file", metavar="FILE", help="The study file; default: the one that you ran the study from."
)
the_name = click.argument("name")


def url_of(file: "StudyFile | None" = None) -> str:
    """The URL of the store: --storage, else TRIMTAB_STORAGE, else the study file's, else the default."""
    return _storage_given() or os.environ.get("TRIMTAB_STORAGE") or (file and file.storage) or DEFAULT


def _storage_given() -> str | None:
    """The value of --storage."""
    said: str | None = click.get_current_context().find_root().meta.get("trimtab.storage")
    return said


def existing_url(file: "StudyFile | None" = None) -> str:
    """The URL of the store, which must exist: reading does not create one."""
    from ..storage import missing_file

    url = url_of(file)
    if missing_file(url):
        raise StorageError(f"{url}: there is no such file; name the store with --storage URL or TRIMTAB_STORAGE")
    return url


def opened(name: str, file: "StudyFile | None" = None) -> "Study":
    """The study of this name or uid in the store, which must exist. Raises StudyNotFound, StorageError."""
    from ..study import Study

    try:
        return Study(name, storage=existing_url(file))
    except StudyNotFound as error:
        if name.endswith((".yaml", ".yml")):
            raise StudyNotFound(f"{error}; give the name of the study, not of its file") from None
        raise


def opened_or_created(given: "StudyFile", file: str, fresh: bool = False) -> "Study":
    """The study that a file describes, opened or created; remembered for this user, so that `evidence` finds the file."""
    from ..study import Study
    from .allowed import remember

    try:
        study = Study(given.name, storage=url_of(given), fresh=fresh, **given.study)
    except StudyMismatch as error:
        store = f" --storage {shlex.quote(without_password(url))}" if (url := _storage_given()) else ""
        raise StudyMismatch(
            f"{error}. On the command line: {command('revise', file, store)}, or {command('run', file, f' --fresh{store}')}"
        ) from None
    try:
        remember(study.record.uid, given.path)
    except UserError as error:
        streams.tell(f"trimtab: {error}; `evidence` will need --file")
    return study


def storage_option(file: "StudyFile | None" = None) -> str:
    """What to add to a command so that it uses the store of this run. A password is left to the user."""
    url, found = url_of(file), os.environ.get("TRIMTAB_STORAGE") or DEFAULT
    return "" if url == found else f" --storage {shlex.quote(without_password(url))}"


def file_of(study: "Study", given: str | None) -> "StudyFile":
    """The study file that this user allowed for the study. Raises UserError if none is known or it is another study's."""
    from ..studyfile import read
    from .allowed import files

    path = given or files().get(study.record.uid)
    if path is None:
        verb = click.get_current_context().info_name or ""
        example = command(verb, study.name, f" --file study.yaml{storage_option()}")
        raise UserError(
            f"study {study.name!r} was never run or submitted here from a study file, and a database does not say what to run; "
            f"name the file: {example}; where there is none, in Python: "
            f"tt.Study({study.name!r}, storage=...).{verb}(objective)"
        )
    file = read(path)
    if file.name != study.name:
        raise UserError(f"{path} describes study {file.name!r}, not {study.name!r}; name another with --file")
    return file
