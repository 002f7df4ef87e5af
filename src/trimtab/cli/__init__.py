"""The command line: the verbs of the Python API. Errors are one line on standard error; no command asks a question.

Exit status: 0; 1 if the run failed or `verify` found something; 2 if the call is wrong; 130 and 143 if Ctrl-C or
SIGTERM ended a run. Only click is imported before the command is known.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..checks import no_trial, without_password
from ..errors import Damaged, UserError
from ..formatting import command, moment, plural
from . import record, schedule, workers
from .explain import explain
from .outlook import outlook
from .plumbing import (
    Ended,
    Verbs,
    existing_url,
    file_of,
    file_option,
    file_storage_flag,
    json_option,
    opened,
    opened_or_created,
    resumable,
    say,
    storage_flag,
    storage_option,
    the_name,
)
from .revise import revise

# -------------------------------------------------------------------------------------------------------------- verbs


@click.group("trimtab", cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="trimtab", message="%(prog)s %(version)s")
@storage_flag
def cli() -> None:
    """Tune hyperparameters, prove the gain, keep the record."""


@cli.command()
@click.option("--quick", is_flag=True, help="Run only a few trials, to check that everything works.")
@click.option("--out", default="demo", show_default=True, metavar="FOLDER", help="The folder to write to.")
@click.option("--workers", default=2, show_default=True, metavar="N", type=click.IntRange(1), help="Worker processes.")
def demo(quick: bool, out: str, workers: int) -> None:
    """Tune a real credit model; takes a minute or two."""
    from ..demo import run

    with resumable():
        for line in run(Path(out), quick=quick, workers=workers):
            say(line)


@cli.command()
@click.argument("file")
@click.option(
    "--trials", metavar="N", type=click.IntRange(1), help="Return when the study has this many finished trials."
)
@click.option("--time", metavar="DURATION", help='Return after this time, such as "30m".')
@click.option("--workers", metavar="N", type=click.IntRange(1), help="Worker processes; default: those of the file.")
@click.option(
    "--executor",
    default="local",
    show_default=True,
    type=click.Choice(["local", "ray", "slurm"]),
    help="Where trials run.",
)
@click.option("--enough", is_flag=True, help="Stop when the remaining gain is below the noise.")
@click.option("--fresh", is_flag=True, help="Archive the study of this name and start over.")
@click.option("--quiet", is_flag=True, help="Do not show progress.")
@file_storage_flag
def run(
    file: str,
    trials: int | None,
    time: str | None,
    workers: int | None,
    executor: str,
    enough: bool,
    fresh: bool,
    quiet: bool,
) -> None:
    """Run the study in FILE (YAML), or continue it."""
    from ..records import GOOD
    from ..studyfile import read
    from . import console

    given = read(file)
    study = opened_or_created(given, file, fresh)
    limits: Mapping[str, Any] = {
        "trials": trials, "time": time, "workers": workers or given.workers, "enough": enough,
    }  # fmt: skip
    where = given.slurm if executor == "slurm" else executor
    with resumable():
        study.run(given.objective, **limits, resources=given.resources, supervised=True, executor=where, quiet=quiet)
    say(console.facts({"study": given.name, **console.answers(study)}))
    store = storage_option(given)
    if study.counts["failed"] and not any(study.counts[state] for state in GOOD):
        raise Ended(1, f"study {given.name!r}: no trial succeeded; see why: {command('trials', given.name, store)}")
    if (state := study.record.state) in ("cancelled", "archived"):
        say(f"\nThe study is {state}: it takes no more trials.")
        return
    if state == "paused":
        say(f"\nThe study is paused. Go on with: {command('resume', given.name, store)}")
    if study.spec.baseline is None:  # evidence could only refuse
        revise = command("revise", file, store)
        say(f"\nTo test the gain, write the setting to beat into the file, as baseline: {{...}}. Then: {revise}")
        return
    if study.baseline is not None and study.baseline.state == "failed":
        why = command("trials", given.name, store)
        say(f"\nThe baseline failed, so that its runs in a test of the gain may fail, too. See why: {why}")
        return
    say(f"\nTest the gain on fresh seeds: {command('evidence', given.name, store)}")


@cli.command(name="list")
@json_option
@storage_flag
def list_(as_json: bool) -> None:
    """List the studies in the database.

    Damaged ones are reported on standard error.
    """
    from ..storage import open_storage
    from . import console

    damaged: list[Damaged] = []
    records = open_storage(existing_url()).studies(damaged=damaged.append)
    if as_json:
        rows = [
            {"name": r.name, "state": str(r.state), "trials": r.count, "uid": r.uid, "created": r.created}
            for r in records
        ]
        say(console.document({"studies": rows}))
    else:
        shown = [[r.name, str(r.state), str(r.count), moment(r.created), r.uid[:12]] for r in records]
        say(console.table(["study", "state", "trials", "created", "uid"], shown, right=["trials"]))
    if damaged:
        raise Ended(1, "\n".join(map(str, damaged)))


@cli.command()
@the_name
@click.argument("number", required=False, type=click.IntRange(0))
@json_option
@storage_flag
def show(name: str, number: int | None, as_json: bool) -> None:
    """Show a study, or one of its trials in full.

    Of a study: question, space, budget, counts, best, evidence. Of trial NUMBER: all that is on record, with its output.
    """
    from . import console

    study = opened(name)
    if number is not None:
        rows = study.trials
        if number >= len(rows):
            raise UserError(no_trial(number, len(rows)))
        trial = rows[number]
        whole = {"study": name, **console.trial_json(trial), "verdict": dict(trial.verdict), "output": trial.output}
        say(console.document(whole) if as_json else console.trial_text(study, trial))
        return
    say(console.document(console.study_json(study)) if as_json else console.study_text(study))


@cli.command()
@the_name
@json_option
@storage_flag
def best(name: str, as_json: bool) -> None:
    """Show the best trial that meets the constraints.

    The best by what all results support: with noise, that need not be the one with the best single result.
    """
    from . import console

    study = opened(name)
    trial = study.best
    if as_json:
        known = {"feasible": study.feasible(trial), "expected": console.expected_json(study)}
        say(console.document({"study": name, **console.trial_json(trial), **known}))
        return
    say(console.facts({k: v for k, v in console.answers(study).items() if k != "params"}))
    say()
    say(console.facts({k: console.exact(v) for k, v in console.params(study.spec, trial).items()}))


@cli.command()
@the_name
@json_option
@click.option("--csv", "to", metavar="FILE", help="Write a CSV file; - for standard output.")
@storage_flag
def trials(name: str, as_json: bool, to: str | None) -> None:
    """List all trials of a study.

    Also those of its evidence; * marks the best one.
    """
    from ..files import write
    from . import console

    if as_json and to:
        raise click.UsageError("--json and --csv exclude each other; choose one")
    study = opened(name)
    rows = study.trials
    if as_json:
        say(console.document({"study": name, "trials": [console.trial_json(t) for t in rows]}))
    elif to == "-":
        say(console.trials_csv(rows), nl=False)
    elif to is not None:
        write(Path(to), console.trials_csv(rows).encode())
        say(to)
    else:
        say(console.trials_table(study, rows))


@cli.command()
@the_name
@click.option(
    "--replicates",
    metavar="N",
    type=click.IntRange(2),
    help="Pairs of runs on fresh seeds.  [default: the file's, else 20]",
)
@file_option
@click.option(
    "--executor",
    default="local",
    show_default=True,
    type=click.Choice(["local", "ray"]),
    help="Where the runs take place.",
)
@json_option
@click.option("--quiet", is_flag=True, help="Do not show progress.")
@storage_flag
def evidence(name: str, replicates: int | None, file: str | None, executor: str, as_json: bool, quiet: bool) -> None:
    """Compare tuned with baseline on fresh seeds.

    Runs the most promising settings again and chooses one; then runs that one (tuned) and the baseline in pairs, and
    says whether the gain is proven. If called again, runs only what is missing.
    """
    from . import console

    study = opened(name)
    given = file_of(study, file)
    asked = {**given.evidence, **({} if replicates is None else {"replicates": replicates})}
    with resumable():
        how: Mapping[str, Any] = {"workers": given.workers, "resources": given.resources, "supervised": True}
        found = study.evidence(given.objective, **asked, **how, executor=executor, quiet=quiet)
    say(console.answer(name, found, as_json))


@cli.command()
@the_name
@click.option(
    "--trial", type=click.IntRange(0), metavar="N", help="The tuned trial; default: the certified one, else the best."
)
@click.option("--metric", metavar="NAME", help="The metric; default: that of the first goal.")
@file_option
@json_option
@storage_flag
def holdout(name: str, trial: int | None, metric: str | None, file: str | None, as_json: bool) -> None:
    """Compare tuned with baseline on the hold-out.

    These are the rows that a CrossValidation has held out. Each look is on record.
    """
    from . import console

    study = opened(name)
    given = file_of(study, file)
    with resumable("a look that was begun is on record; the same command completes it"):
        found = study.holdout(given.objective, tuned=trial, metric=metric)
    say(console.answer(name, found, as_json))


for verb in (*record.VERBS, *schedule.VERBS, *workers.VERBS, explain, outlook, revise):
    cli.add_command(verb)


@cli.command()
@the_name
@storage_flag
def pause(name: str) -> None:
    """Start no new trials until `resume`."""
    opened(name).pause()
    say(f"study {name!r} is paused; go on with: {command('resume', name, storage_option())}")


@cli.command()
@the_name
@storage_flag
def resume(name: str) -> None:
    """Continue a paused study."""
    opened(name).resume()
    say(f"study {name!r} is open; its workers go on, or run its file again")


@cli.command()
@the_name
@click.argument("number", required=False, type=click.IntRange(0))
@storage_flag
def cancel(name: str, number: int | None) -> None:
    """End a study, or only its trial NUMBER."""
    opened(name).cancel(number)
    say(f"study {name!r} is cancelled" if number is None else f"study {name!r}: trial {number} is cancelled")


@cli.command()
@the_name
@storage_flag
def archive(name: str) -> None:
    """Make a study read-only and free its name."""
    study = opened(name)
    study.archive()
    say(f"study {name!r} is archived; its name is free, and it is read by its uid, {study.record.uid[:12]}")


@cli.command()
@the_name
@click.option("--to", "store", required=True, metavar="URL", help="The other database.")
@storage_flag
def copy(name: str, store: str) -> None:
    """Copy a study with its whole record into another database."""
    made = opened(name).copy(store)
    record = made.record
    say(
        f"study {record.name!r} is in {made.storage.url}, too: {plural(record.count, 'trial')}, "
        f"{plural(record.position, 'event')}, head {record.head[:16]}; go on in one of the two only"
    )


@cli.command()
@the_name
@storage_flag
def delete(name: str) -> None:
    """Delete a study and its record for good.

    Nothing is asked. An archived study is named by its uid.
    """
    study = opened(name)
    # The same line run twice deletes one study.
    if study.record.state == "archived" and not study.record.uid.startswith(name):
        raise UserError(
            f"study {name!r} is archived; delete it by its uid: trimtab delete {study.record.uid[:12]}{storage_option()}"
        )
    study.delete()
    say(f"study {name!r} is deleted")


@cli.group()
def db() -> None:
    """Maintain the database."""


@db.command()
@storage_flag
def upgrade() -> None:
    """Upgrade the database to this version's schema."""
    from ..storage.migrations import upgrade as bring

    url = existing_url()
    before, after = bring(url)
    was = "" if before is None else "; nothing had to be changed" if before == after else f"; it had {before}"
    say(f"{without_password(url)} has the newest schema, {after}{was}")


@cli.command(name="report-metrics")
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--step", type=float, help="Report at this step; without it, the values are the trial's result.")
def report_metrics(pairs: tuple[str, ...], step: float | None) -> None:
    """Pass metrics to the trial that runs this program."""
    from ..objective import report_metrics as hand_over

    hand_over(pairs, step)


def main() -> None:
    """The entry point of the `trimtab` program."""
    cli(prog_name="trimtab")
