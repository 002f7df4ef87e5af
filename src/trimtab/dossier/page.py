"""The document as HTML: self-contained, reproducible byte for byte, made for screen and paper."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..formatting import command, moment, plural
from ..reports import document, sections
from ..reports.snapshot import Snapshot
from .facts import FILLED, MISSING, NOT_APPLICABLE, PARTIAL, Item
from .frameworks import Framework
from .record import items


def page(s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> str:
    """HTML text. made: the evidence record, which is part of the page. Raises UserError if Plotly or Jinja is missing."""
    by_id: dict[str, Item] = {item.id: item for item in items(s)}
    drawings = document.drawings(s.facts, s.evidence)
    kind, sentence = sections.headline(s.facts, s.evidence)
    return str(
        document.template(__package__, "page.html.j2").render(
            study=s.study,
            framework=framework,
            items=by_id,
            boxes=sum(len(i.empty) + len(i.gaps) for i in by_id.values()),
            statuses=_statuses(list(by_id.values())),
            kind=kind,
            sentence=sentence,
            comparison=sections.comparison(s.facts, s.evidence),
            at=moment(s.at),
            findings=s.findings,
            made=made,
            plural=plural,
            verify=command("verify", s.study.name, " --storage URL --report FILE"),
            drawings=drawings,
            evidence=document.script(made),
            plots=document.plots(drawings),
            plotly=document.plotly(),
        )
    )


def _statuses(found: Sequence[Item]) -> list[tuple[str, int]]:
    order = (FILLED, PARTIAL, MISSING, NOT_APPLICABLE)
    return [(name, sum(i.status == name for i in found)) for name in order]
