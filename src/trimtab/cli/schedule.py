"""`trimtab schedule` and `trimtab train`: a population's schedule as YAML, and a plain training with it."""

from pathlib import Path

import click

from .plumbing import ANEW, opened, resumable, say, storage_flag, the_name


@click.command()
@the_name
@click.argument("number", required=False, type=click.IntRange(0))
@click.option("--out", metavar="FILE", help="The file to write; default: standard output.")
@storage_flag
def schedule(name: str, number: int | None, out: str | None) -> None:
    """Write the schedule that led to a trial, as YAML.

    The schedule: the parameters over its training. The trial: the best one, or NUMBER.
    """
    from ..files import write

    text = opened(name).schedule(number).to_yaml()
    if out is None:
        say(text, nl=False)
        return
    write(Path(out), text.encode())
    say(out)


@click.command()
@click.argument("file")
@click.argument("objective")
@click.option("--seed", type=int, help="The seed of a new run; default: those on record.")
@click.option("--folder", metavar="FOLDER", help="Where to save the model; default: nowhere.")
def train(file: str, objective: str, seed: int | None, folder: str | None) -> None:
    """Train with the schedule in FILE, without a study.

    OBJECTIVE is what to train, such as train.py:objective. Prints its metrics as JSON.
    """
    from ..schedule import Schedule
    from . import console

    read = Schedule.from_yaml(Path(file).read_bytes())
    with resumable(ANEW):
        metrics = read.train(objective, seed=seed, folder=folder)
    say(console.document({"study": read.study, "recorded": dict(read.metrics), "metrics": dict(metrics)}))


VERBS = (schedule, train)
