"""`trimtab outlook`: whether more search is worth it."""

import click

from .plumbing import json_option, opened, say, storage_flag, the_name


@click.command()
@the_name
@click.option(
    "--tolerance",
    default=0.0,
    show_default=True,
    metavar="X",
    type=click.FloatRange(0),
    help="How far from the best possible result does not matter, in the metric's unit.",
)
@click.option(
    "--worth",
    metavar="X",
    type=click.FloatRange(0),
    help="What one unit of the metric is worth, in seconds of a trial, or in money.",
)
@json_option
@storage_flag
def outlook(name: str, tolerance: float, worth: float | None, as_json: bool) -> None:
    """Say whether more search is worth it.

    Shows the remaining gain beside its noise and its cost.
    """
    from ..outlook import Enough
    from . import console

    found = opened(name).outlook(Enough(tolerance=tolerance, worth=worth))
    say(console.answer(name, found, as_json))
