"""`trimtab explain`: what matters, how far each parameter may move, why a trial was proposed."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .plumbing import json_option, opened, say, storage_flag, the_name

if TYPE_CHECKING:
    from ..explanation import Explanation


@click.command()
@the_name
@click.option("--trial", type=click.IntRange(0), metavar="N", help="Only explain why this trial was proposed.")
@click.option("--goal", default="", metavar="METRIC", help="The goal to explain; default: the first one.")
@json_option
@storage_flag
def explain(name: str, trial: int | None, goal: str, as_json: bool) -> None:
    """Explain the results, or why a trial was proposed.

    Says what matters, how far each parameter may move, and what to be careful about.
    """
    from . import console

    told = opened(name).explain(goal or 0)
    if trial is not None:
        said = told.why(trial)
        say(console.document({"study": name, "trial": trial, "why": said.splitlines()}) if as_json else said)
    elif as_json:
        say(console.document({"study": name, **_json(told)}))
    else:
        say(told.text(console.table))


def _json(told: "Explanation") -> dict[str, object]:
    return {
        "goal": told.metric,
        "importance": told.importance(),
        "sobol": {n: asdict(i) for n, i in told.sobol().items()},
        "interactions": [{"pair": list(pair), **asdict(i)} for pair, i in told.interactions().items()],
        "safe": [asdict(s) for s in told.safe_ranges()],
        "findings": [asdict(f) for f in told.findings()],
    }
