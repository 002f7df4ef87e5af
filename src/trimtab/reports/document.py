"""The study's document: one self-contained HTML file with the answer, the evidence, and everything it rests on.

It needs no network: figures carry their data, and plotly.js is part of the file. The same snapshot gives the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ..engine.lineage import parent_of
from ..errors import UserError
from ..evidence import Evidence
from ..evidence.interactions import MANY, unpaired
from ..explanation import Explanation
from ..formatting import command, moment, plural
from ..records import Purpose
from . import explanation_figures, figures, lineage_figures, sections
from .facts import MOST_DRAWN, Facts
from .limits import limits
from .snapshot import Snapshot

MOST_SLICES = 24


@dataclass(frozen=True)
class Drawing:
    """A figure's place in the document."""

    id: str
    title: str
    caption: str
    figure: Any
    group: str  # evidence, explanation, curves, trials, slices, population, course
    wide: bool = False  # scrolls sideways on narrow screens

    @property
    def small(self) -> bool:
        """Several stand in a row."""
        return self.group in ("slices", "curves")


def render(s: Snapshot, record: Mapping[str, Any]) -> str:
    """The usual document as HTML text. record: the evidence record, which becomes part of it.

    Raises UserError if Plotly or Jinja is not installed.
    """
    chosen = sections.answer.tuned(s.facts, s.evidence)
    return page(
        "reports/report.html.j2",
        s,
        record,
        s=sections,
        card=_of_persons(record),
        plural=plural,
        command=command,
        chosen=None if chosen is None else json.dumps(dict(chosen), indent=2, ensure_ascii=False),
        searches=sum(t.purpose is Purpose.SEARCH for t in s.trials),
        limits=limits(s.facts, s.evidence, s.events),
    )


def _of_persons(record: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """What persons have filled in, by item: label and text."""
    said = {i["id"]: [(f["label"], f["text"]) for f in i["facts"] if f["sources"] == ["card"]] for i in record["items"]}
    return {id_: pairs for id_, pairs in said.items() if pairs}


def page(name: str, snapshot: Snapshot, record: Mapping[str, Any], **shown: Any) -> str:
    """A template of this package as HTML text, with `shown` and what every document shows: see base.html.j2.

    Raises UserError if Plotly or Jinja is not installed.
    """
    template = _template(name)  # first: who lacks both Jinja and Plotly needs the extra `report`
    facts, evidence = snapshot.facts, snapshot.evidence
    drawn = drawings(facts, evidence)
    kind, sentence = sections.answer.headline(facts, evidence)
    return str(
        template.render(
            snapshot=snapshot,
            study=snapshot.study,
            facts=facts,
            evidence=evidence,
            at=moment(snapshot.at),
            kind=kind,
            sentence=sentence,
            comparison=sections.answer.comparison(facts, evidence),
            origins=snapshot.origins,
            drawings=drawn,
            record=record,
            record_json=_script(record),
            plots_json=_script({d.id: json.loads(d.figure.to_json()) for d in drawn}),
            plotly=_plotly(),
            **shown,
        )
    )


def drawings(facts: Facts, evidence: Evidence | None) -> list[Drawing]:
    """All figures for which this study has data, in the order of the document."""
    made = _of_evidence(evidence) if evidence is not None and evidence.pairs else []
    if not any(facts.by_status.values()):
        return made
    if facts.explanation is not None:
        made += _of_explanation(facts, facts.explanation)
    made += _of_trials(facts)
    if any(parent_of(t) is not None for t in facts.searched):
        made += _of_population(facts)
    return made + _of_course(facts)


def _of_evidence(evidence: Evidence) -> list[Drawing]:
    said = (
        "Each dot is a pair of runs: the gain of the tuned setting over the baseline, positive is better; the diamond is their "
        "mean with its 95 % interval."
    )
    return [Drawing("gain", "Gain in every pair", said, figures.gain(evidence), "evidence")]


def _of_explanation(facts: Facts, told: Explanation) -> list[Drawing]:
    said = (
        "Each result against the model's prediction from all other results, with 90 % intervals. Near the dotted line: the "
        "model, and what is said above, can be trusted."
    )
    calibration = explanation_figures.calibration(told)
    return [
        *_around_the_chosen(told),
        *_over_the_space(facts, told),
        Drawing("calibration", "How far the model can be trusted", said, calibration, "explanation"),
    ]


def _around_the_chosen(told: Explanation) -> list[Drawing]:
    made = []
    if sections.explained.path(told):
        said = (
            "From the baseline to the chosen setting, one change after the other, the most helpful first: what each adds "
            "(blue) or costs (brown) by the model of all results, with one standard deviation."
        )
        figure = explanation_figures.ablation(told)
        made.append(Drawing("ablation", "Where the gain comes from", said, figure, "explanation"))
    said = (
        "The chosen setting, and how far each parameter may move by itself before the predicted result is worse by more "
        "than one standard error."
    )
    figure = explanation_figures.safe(told)
    return [*made, Drawing("safe", "How far each parameter may move", said, figure, "explanation")]


def _over_the_space(facts: Facts, told: Explanation) -> list[Drawing]:
    spec, goal = facts.spec, facts.spec.goals[facts.goal]
    said = (
        f"Share of each parameter in what separates {sections.explained.TOP} from all (PED-ANOVA, chance subtracted)."
    )
    figure = figures.importance(facts, facts.goal)
    made = [Drawing("importance", "What the best trials have in common", said, figure, "explanation")]
    said = (
        "Over the whole space: the share of the variance of the result that a parameter causes by itself, and has a part "
        "in with others (Sobol' indices of the model, 90 % intervals). Wide intervals: the trials do not show it."
    )
    made.append(
        Drawing("effects", "What matters over the whole space", said, explanation_figures.effects(told), "explanation")
    )
    if told.interactions():
        left_out = unpaired(spec.space)
        said = (
            "The share of the variance that two parameters cause only together, the strongest pairs (90 % intervals)."
            + (f" In no pair, for more than {MANY} options: {', '.join(left_out)}." if left_out else "")
        )
        made.append(Drawing("pairs", "What acts together", said, explanation_figures.pairs(told), "explanation"))
    said = "Averaged over all other parameters; darker is better, the ring is the chosen setting."
    for k, s in enumerate(sections.explained.surfaces(told)):
        title = f"{goal.metric} over {s.names[0]} and {s.names[1]}"
        made.append(
            Drawing(f"surface-{k}", title, said, explanation_figures.surface(s, spec, told.best, goal), "explanation")
        )
    curves = sections.explained.curves(told)
    span = explanation_figures.common(curves)
    for k, d in enumerate(curves):
        figure = explanation_figures.dependence(d, spec, goal.metric).update_yaxes(range=span)
        made.append(Drawing(f"curve-{k}", d.name, "", figure, "curves"))
    return made


def _of_trials(facts: Facts) -> list[Drawing]:
    spec, made = facts.spec, list[Drawing]()
    full = "" if spec.fidelity is None else " of a full training"
    said = f"Each mark is a trial. The line is the best feasible result so far{full}, the dotted one the baseline."
    for g, goal in enumerate(spec.goals):
        figure = figures.history(facts, g)
        made.append(Drawing(f"history-{g}", f"History of {goal.metric}", "" if g else said, figure, "trials"))
    if not any(facts.status(t) in ("feasible", "infeasible") for t in facts.searched):
        return made
    said = "Each line is a trial, darker when better. If a line dips to the bottom, the parameter was inactive."
    made.append(Drawing("parallel", "Parallel coordinates", said, figures.parallel(facts), "trials", wide=True))
    said = "Ringed settings are on the Pareto front: no other one beats them in every goal."
    for a, b in combinations(range(len(spec.goals)), 2):
        title = f"{spec.goals[a].metric} against {spec.goals[b].metric}"
        made.append(Drawing(f"pareto-{a}-{b}", title, said, figures.pareto(facts, (a, b)), "trials"))
    for j, name in enumerate(spec.space.names[:MOST_SLICES]):
        panel = figures.slices(facts, [name])
        panel.update_layout(height=250, showlegend=False, margin={"t": 12})
        made.append(Drawing(f"slice-{j}", name, "", panel, "slices"))
    return made


def _of_population(facts: Facts) -> list[Drawing]:
    lines = "Each line leads from the result of a trial to that of the one that continued it; the line of the best is in front."
    panels = "The parameters over the training that led to the best."
    return [
        Drawing("lineage", "Lineage", lines, lineage_figures.lineage(facts), "population"),
        Drawing("schedule", "Schedule", panels, lineage_figures.schedule(facts), "population"),
    ]


def _of_course(facts: Facts) -> list[Drawing]:
    said = "When each trial ran, parallel ones below one another; hatched bars are evidence."
    if len(facts.trials) > MOST_DRAWN:
        said += " Trials that follow one another closely share a bar."
    return [Drawing("timeline", "Timeline", said, figures.timeline(facts), "course", wide=True)]


def _script(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _template(name: str) -> Any:
    """A template. Raises UserError if Jinja is not installed."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise UserError('reports need Jinja2, which is not installed; run: pip install "trimtab[report]"') from None
    loader = PackageLoader("trimtab", "")
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return made.get_template(name)


def _plotly() -> str:
    """The source of plotly.js. Raises UserError if Plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError('reports need Plotly, which is not installed; run: pip install "trimtab[report]"') from None
    return str(get_plotlyjs())
