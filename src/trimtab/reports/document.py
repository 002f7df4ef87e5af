"""The study's document: one self-contained HTML file with the answer, the evidence, and everything it rests on.

It needs no network: figures carry their data, and plotly.js is part of the file. The same rows and the same `generated`
give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations
from typing import Any

from ..errors import UserError
from ..evidence import Evidence
from ..records import Event, Purpose, Report, State, StudyRecord, Trial
from ..words import moment, plural
from . import figures, sections
from .facts import Facts
from .limits import limits

MOST_SLICES = 24


@dataclass(frozen=True)
class Drawing:
    """A figure's place in the document."""

    id: str
    title: str
    caption: str
    figure: Any
    small: bool = False  # several in a row
    wide: bool = False  # scrolls sideways on narrow screens


def render(
    study: StudyRecord,
    trials: Sequence[Trial],
    reports: Sequence[Report],
    events: Sequence[Event],
    evidence: Evidence | None,
    machine: Mapping[str, Any],
    findings: Sequence[str],
    data: Mapping[str, Any] | None,
    generated: float,
    record: Mapping[str, Any] | None = None,
) -> str:
    """The document as HTML text.

    `machine`: what the study ran on; `findings`: what `verify` found; `data`: what the user says of the data
    (description, rows, fingerprint, anything else), None when nothing; `generated`: seconds since the epoch;
    `record`: the evidence record, which becomes part of the file.
    Raises UserError when Plotly or Jinja is not installed.
    """
    template = _template()
    facts = Facts(study, sorted(trials, key=lambda t: t.number))
    drawn = drawings(facts, evidence)
    kind, sentence = sections.headline(facts, evidence)
    chosen = sections.tuned(facts, evidence)
    return str(
        template.render(
            facts=facts,
            s=sections,
            plural=plural,
            study=study,
            evidence=evidence,
            kind=kind,
            sentence=sentence,
            chosen=None if chosen is None else json.dumps(dict(chosen), indent=2, ensure_ascii=False),
            goals=[g.metric for g in study.spec.goals],
            metrics=study.spec.metrics,
            states=[str(s) for s in State],
            reports=plural(len(reports), "report"),
            searches=sum(t.purpose is Purpose.SEARCH for t in trials),
            events=events,
            findings=findings,
            record=record,
            embedded=None if record is None else script(record),
            data=data,
            environment=machine,
            limits=limits(facts, evidence),
            generated=moment(generated),
            drawings=drawn,
            gain=next((d for d in drawn if d.id == "gain"), None),
            plots=plots(drawn),
            plotly=plotly(),
        )
    )


def drawings(facts: Facts, evidence: Evidence | None) -> list[Drawing]:
    """All figures that this study has something to show in, in the order of the document."""
    study, trials, spec = facts.study, facts.trials, facts.spec
    made = [Drawing("gain", "Gain in every pair", "", figures.gain(evidence))] if evidence and evidence.pairs else []
    if not any(facts.with_status().values()):
        return made
    for g, goal in enumerate(spec.goals):
        said = (
            "Each mark is a trial. The line is the best feasible result so far, the dotted one the baseline."
            if g == 0
            else ""
        )
        made.append(Drawing(f"history-{g}", f"History of {goal.metric}", said, figures.history(study, trials, g)))
    if any(facts.status(t) in ("feasible", "infeasible") for t in facts.searched):
        made += _drawings_of_results(facts)
    said = "When each trial ran, on which worker; hatched bars are evidence."
    return [*made, Drawing("timeline", "Timeline", said, figures.timeline(study, trials), wide=True)]


def _drawings_of_results(facts: Facts) -> list[Drawing]:
    study, trials, spec = facts.study, facts.trials, facts.spec
    said = "Share of each parameter in what separates the best tenth of the trials from all (PED-ANOVA, less what chance does)."
    made = [Drawing("importance", "Importance", said, figures.importance(study, trials))]
    said = "Each line is a trial, darker when better. A line that dips to the foot: the parameter was inactive."
    made.append(Drawing("parallel", "Parallel coordinates", said, figures.parallel(study, trials), wide=True))
    for j, name in enumerate(spec.space.names[:MOST_SLICES]):
        panel = figures.slices(study, trials, [name]).update_layout(height=250, showlegend=False, margin={"t": 12})
        made.append(Drawing(f"slice-{j}", name, "", panel, small=True))
    for a, b in combinations(range(len(spec.goals)), 2):
        title = f"{spec.goals[a].metric} against {spec.goals[b].metric}"
        said = "Ringed settings are on the Pareto front: no other one beats them in every goal."
        made.append(Drawing(f"pareto-{a}-{b}", title, said, figures.pareto(study, trials, (a, b))))
    return made


def script(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return (
        json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
    )


def plots(drawn: Sequence[Drawing]) -> str:
    """What the page's script draws: a figure for each place."""
    return script({d.id: json.loads(d.figure.to_json()) for d in drawn})


def environment() -> Any:
    """What templates are read with. Raises UserError when Jinja is not installed."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise UserError('reports need Jinja2, which is not installed; run: pip install "trimtab[report]"') from None
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)


def _template() -> Any:
    return environment().from_string(files(__package__).joinpath("template.html.j2").read_text(encoding="utf-8"))


def plotly() -> str:
    """The library that draws, as text. Raises UserError when Plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError('reports need Plotly, which is not installed; run: pip install "trimtab[report]"') from None
    return str(get_plotlyjs())
