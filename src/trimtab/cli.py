"""The command line: the verbs of the Python API. Errors are one line on standard error; nothing asks a question.

Exit status: 0; 1 when the run failed or `verify` found something; 2 when the call is wrong; 130 and 143 when Ctrl-C or
SIGTERM ended a run politely. Only click is imported before a command is known.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import __version__
from .errors import StorageError, StudyMismatch, TrimtabError, UserError, nearest

if TYPE_CHECKING:
    from .study import Study
    from .studyfile import StudyFile

DEFAULT = "sqlite:///trimtab.db"
F = TypeVar("F", bound=Callable[..., Any])


class _Ended(Exception):
    """The command ends early with an exit status and a line on standard error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Cli(click.Group):
    """A group whose errors are one line."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(f"there is no command {args[0]!r}{nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
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
            click.echo(f"trimtab: {text}", err=True)
        sys.exit(status if isinstance(status, int) else 0)


def _verdict(error: Exception) -> tuple[int, str]:
    """Exit status and text of an error; one that nobody foresaw is raised again."""
    match error:
        case _Ended():
            return error.status, str(error)
        case click.Abort():
            return 130, "interrupted"
        case click.ClickException():
            return 2, " ".join(error.format_message().split())
        case UserError():
            return 2, str(error)
        case TrimtabError():
            return 1, str(error)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            return 2, f"{where}{error.strerror or error}"
    raise error


@contextmanager
def _resumable() -> Iterator[None]:
    """Ctrl-C and SIGTERM end with the way to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        number = stop.args[0] if stop.args and isinstance(stop.args[0], int) else 2
        again = shlex.join(["trimtab", *(a for a in sys.argv[1:] if a != "--fresh")])
        raise _Ended(
            128 + number, f"interrupted; running trials were given back to the queue. Go on with: {again}"
        ) from None


# --------------------------------------------------------------------------------------------------------- the record


def _keep(ctx: click.Context, _: click.Parameter, url: str | None) -> str | None:
    """--storage means the same before and after the command: the later one wins."""
    if url is not None:
        ctx.find_root().meta["trimtab.storage"] = url
    return url


_storage = click.option(
    "--storage", metavar="URL", expose_value=False, callback=_keep,
    help=f"The store; else $TRIMTAB_STORAGE, else {DEFAULT}.",
)  # fmt: skip
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_name = click.argument("name")


def _url(file: "StudyFile | None" = None) -> str:
    """The store: --storage, else TRIMTAB_STORAGE, else the study file's, else the default."""
    said = click.get_current_context().find_root().meta.get("trimtab.storage")
    return said or os.environ.get("TRIMTAB_STORAGE") or (file and file.storage) or DEFAULT


def _existing() -> str:
    """The store, which must be there: reading does not make one."""
    url = _url()
    path = url.removeprefix("sqlite:///")
    if path not in (url, "") and not Path(path).expanduser().exists():
        raise StorageError(f"{url}: there is no such file; name the store with --storage URL or TRIMTAB_STORAGE")
    return url


def _study(name: str) -> "Study":
    from .study import Study

    return Study(name, storage=_existing())


def _show_storage(file: "StudyFile") -> str:
    """What to add to a command so that it finds the store of this run."""
    url, found = _url(file), os.environ.get("TRIMTAB_STORAGE") or DEFAULT
    return "" if url == found else f" --storage {shlex.quote(url)}"


def _file_of(study: "Study", given: str | None) -> "StudyFile":
    """The study file that this user allowed for the study. Raises UserError when none is known or it is another's."""
    from .allowed import files
    from .studyfile import read

    path = given or files().get(study.record.uid)
    if path is None:
        raise UserError(
            f"study {study.name!r} was never run here from a study file, and a database does not say what to run; "
            f"name the file: trimtab evidence {shlex.quote(study.name)} --file study.yaml"
        )
    file = read(path)
    if file.name != study.name:
        raise UserError(f"{path} describes study {file.name!r}, not {study.name!r}; name another with --file")
    return file


# -------------------------------------------------------------------------------------------------------------- verbs


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trimtab", message="%(prog)s %(version)s")
@_storage
def cli() -> None:
    """Tune the knobs of a model, prove the gain, keep the record."""


@cli.command()
@click.option("--quick", is_flag=True, help="A few trials only: to see that everything works.")
@click.option("--out", default="demo", show_default=True, metavar="FOLDER", help="Where everything is written.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Worker processes.")
def demo(quick: bool, out: str, workers: int) -> None:
    """Tune a real credit model: a minute or two."""
    from .demo import run

    with _resumable():
        for line in run(Path(out), quick=quick, workers=workers):
            click.echo(line)


@cli.command()
@click.argument("file")
@click.option("--trials", type=click.IntRange(1), help="Return when the study has so many finished trials.")
@click.option("--time", metavar="DURATION", help='Return after this time, such as "30m".')
@click.option("--workers", type=click.IntRange(1), help="Worker processes; else what the file says.")
@click.option("--fresh", is_flag=True, help="Archive the study of this name and begin anew.")
@click.option("--quiet", is_flag=True, help="No progress lines.")
@_storage
def run(file: str, trials: int | None, time: str | None, workers: int | None, fresh: bool, quiet: bool) -> None:
    """Run the study in FILE (YAML), or continue it."""
    from . import console
    from .allowed import remember
    from .study import Study
    from .studyfile import read

    told = read(file)
    try:
        study = Study(told.name, storage=_url(told), fresh=fresh, **told.study)
    except StudyMismatch as error:
        raise StudyMismatch(f"{error}. On the command line: trimtab run {shlex.quote(file)} --fresh") from None
    try:
        remember(study.record.uid, told.path)
    except OSError as error:
        click.echo(f"trimtab: {error.filename}: {error.strerror}; `evidence` will need --file", err=True)
    limits: Mapping[str, Any] = {"trials": trials, "time": time, "workers": workers or told.workers}
    with _resumable():
        study.run(told.objective, **limits, resources=told.resources, supervised=True, quiet=quiet)
    click.echo(console.facts({"study": told.name, **console.answers(study)}))
    if study.counts["failed"] and not study.counts["done"]:
        raise _Ended(1, f"study {told.name!r}: no trial succeeded; see why: trimtab trials {shlex.quote(told.name)}")
    store = _show_storage(told)
    if study.record.state != "open":
        click.echo(f"\nThe study is {study.record.state}. Go on with: trimtab resume {shlex.quote(told.name)}{store}")
    click.echo(f"\nTest the gain on fresh seeds: trimtab evidence {shlex.quote(told.name)}{store}")


@cli.command(name="list")
@_as_json
@_storage
def list_(as_json: bool) -> None:
    """The studies in the store."""
    from . import console
    from .records import StudyState
    from .storage import open_storage
    from .words import moment

    records = open_storage(_existing()).studies()
    if as_json:
        rows = [
            {"name": r.name, "state": str(r.state), "trials": r.count, "uid": r.uid, "created": r.created}
            for r in records
        ]
        click.echo(console.document({"studies": rows}))
        return
    shown = [[r.name, str(StudyState(r.state)), str(r.count), moment(r.created), r.uid] for r in records]
    click.echo(console.table(["study", "state", "trials", "created", "uid"], shown, right=["trials"]))


@cli.command()
@_name
@_as_json
@_storage
def show(name: str, as_json: bool) -> None:
    """A study: question, space, budget, counts, best."""
    from . import console

    study = _study(name)
    if as_json:
        click.echo(console.document(console.study_json(study)))
        return
    click.echo(console.study_text(study))


@cli.command()
@_name
@_as_json
@_storage
def best(name: str, as_json: bool) -> None:
    """The best trial that meets the constraints."""
    from . import console

    study = _study(name)
    trial = study.best
    if as_json:
        click.echo(console.document({"study": name, **console.trial_json(trial), "feasible": study.feasible(trial)}))
        return
    click.echo(console.facts({k: v for k, v in console.answers(study).items() if k != "params"}))
    click.echo()
    click.echo(console.facts({k: str(v) for k, v in trial.params.items()}))


@cli.command()
@_name
@_as_json
@click.option("--csv", "to", metavar="FILE", help="Write a CSV file; - for standard output.")
@_storage
def trials(name: str, as_json: bool, to: str | None) -> None:
    """All trials of a study."""
    from . import console

    if as_json and to:
        raise click.UsageError("--json and --csv exclude each other; choose one")
    study = _study(name)
    rows = study.trials
    if as_json:
        click.echo(console.document({"study": name, "trials": [console.trial_json(t) for t in rows]}))
    elif to == "-":
        click.echo(console.trials_csv(rows), nl=False)
    elif to:
        Path(to).write_text(console.trials_csv(rows), encoding="utf-8")
        click.echo(to)
    else:
        click.echo(console.trials_table(study, rows))


@cli.command()
@_name
@click.option(
    "--replicates", type=click.IntRange(2), help="Pairs of runs on fresh seeds.  [default: the file's, else 20]"
)
@click.option("--file", metavar="FILE", help="The study file; else the one that the study was run from here.")
@_as_json
@click.option("--quiet", is_flag=True, help="No progress lines.")
@_storage
def evidence(name: str, replicates: int | None, file: str | None, as_json: bool, quiet: bool) -> None:
    """Test tuned against baseline on fresh seeds."""
    from . import console

    study = _study(name)
    told = _file_of(study, file)
    asked = {**told.evidence, **({} if replicates is None else {"replicates": replicates})}
    with _resumable():
        found = study.evidence(
            told.objective, **asked, workers=told.workers, resources=told.resources, supervised=True, quiet=quiet
        )
    click.echo(console.document({"study": name, **found.to_json()}) if as_json else found.text())


@cli.command()
@_name
@click.option("--out", required=True, metavar="FILE", help="The HTML file to write.")
@_storage
def report(name: str, out: str) -> None:
    """Write the study's document; prints its path."""
    click.echo(os.path.relpath(_study(name).report(out)))


@cli.command()
@_name
@_storage
def verify(name: str) -> None:
    """Check a study's record against its event chain."""
    from .errors import Damaged

    try:
        study = _study(name)
    except Damaged as error:
        raise _Ended(1, str(error)) from None
    found = study.verify()
    for line in found:
        click.echo(line)
    record = study.record
    if found:
        raise _Ended(1, f"study {name!r}: {len(found)} findings; the record is not what was written")
    click.echo(f"study {name!r} is intact: {record.count} trials, {record.position} events, head {record.head[:16]}")


@cli.command()
@_name
@_storage
def pause(name: str) -> None:
    """Start no new trials until `resume`."""
    _study(name).pause()
    click.echo(f"study {name!r} is paused; go on with: trimtab resume {shlex.quote(name)}")


@cli.command()
@_name
@_storage
def resume(name: str) -> None:
    """Let a paused study go on."""
    _study(name).resume()
    click.echo(f"study {name!r} is open; run its file again to start trials")


@cli.command()
@_name
@click.argument("number", required=False, type=click.IntRange(0))
@_storage
def cancel(name: str, number: int | None) -> None:
    """End a study, or only its trial NUMBER."""
    _study(name).cancel(number)
    click.echo(f"study {name!r} is cancelled" if number is None else f"study {name!r}: trial {number} is cancelled")


@cli.command()
@_name
@_storage
def archive(name: str) -> None:
    """Make a study read-only and free its name."""
    _study(name).archive()
    click.echo(f"study {name!r} is archived; its name is free")


@cli.command()
@_name
@_storage
def delete(name: str) -> None:
    """Remove a study and its record, for good and at once."""
    _study(name).delete()
    click.echo(f"study {name!r} is deleted")


@cli.group()
def db() -> None:
    """The database."""


@db.command()
@_storage
def upgrade() -> None:
    """Bring the database to this version's schema."""
    from .storage.migrations import upgrade as bring

    url = _existing()
    bring(url)
    click.echo(f"{url} has the newest schema")


@cli.command(name="report-metrics")
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--step", type=float, help="Report at this step; without it the values are the trial's result.")
def report_metrics(pairs: tuple[str, ...], step: float | None) -> None:
    """Hand metrics to the trial that runs this program."""
    from .objective import report_metrics as hand_over

    hand_over(pairs, step)


def main() -> None:
    """The entry point of the `trimtab` program."""
    cli(prog_name="trimtab")


if __name__ == "__main__":
    main()
