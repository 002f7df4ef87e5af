"""`trimtab explain`: what matters, how far each parameter may move, why a trial was proposed."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..formatting import NBSP, number, signed, value
from .plumbing import json_option, opened, storage_flag, the_name

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
        click.echo(console.document({"study": name, "trial": trial, "why": said.splitlines()}) if as_json else said)
    elif as_json:
        click.echo(console.document({"study": name, **_json(told)}))
    else:
        click.echo(_text(told))


def _json(told: "Explanation") -> dict[str, object]:
    return {
        "goal": told.metric,
        "importance": told.importance(),
        "sobol": {n: asdict(i) for n, i in told.sobol().items()},
        "interactions": [{"pair": list(pair), **asdict(i)} for pair, i in told.interactions().items()],
        "safe": [asdict(s) for s in told.safe_ranges()],
        "findings": [asdict(f) for f in told.findings()],
    }


def _text(told: "Explanation") -> str:
    """One line per parameter, then the path from the baseline and the findings."""
    from ..reports.influence import SURE, band, chosen_and_span, share
    from . import console

    shares, alone, safe = told.importance(), told.sobol(), {s.name: s for s in told.safe_ranges()}
    names = sorted(shares, key=lambda n: -shares[n])
    rows = [[n, share(shares[n]), band(alone[n]), *chosen_and_span(safe.get(n))] for n in names]
    goals = len(told.ledger.study.spec.goals)
    parts = [f"of {told.metric}, one of {goals} goals:"] if goals > 1 else []
    parts.append(
        console.table(["parameter", "importance", "variance by itself (90 % interval)", "best", "does as well"], rows)
    )
    if told.ledger.study.spec.baseline is not None:
        steps = [
            f"{s.name}: {value(s.before)} to {value(s.after)}, {signed(s.gain, 3)} ± {number(s.sd, 2)}"
            for s in told.ablation()
        ]
        parts.append("\n".join(["from the baseline, by the model:", *(f"  {s}" for s in steps)]))
    if together := [f"  {a} and {b}: {band(i)}" for (a, b), i in told.interactions().items() if i.low >= SURE]:
        parts.append("\n".join(["variance by two together:", *together]))
    parts += [f"beware: {f.text}" for f in told.findings()]
    return "\n\n".join(parts).replace(NBSP, " ")
