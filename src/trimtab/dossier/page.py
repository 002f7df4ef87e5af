"""The document as HTML: self-contained, reproducible byte for byte, made for screen and paper."""

from collections.abc import Mapping
from typing import Any

from ..formatting import command, moment
from ..reports import document, sections
from ..reports.snapshot import Snapshot
from .frameworks import Framework
from .items import Item
from .record import ABOUT, broken, items, tally


def page(s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> str:
    """HTML text. made: the evidence record, which is part of the page. Raises UserError if Plotly or Jinja is missing."""
    by_id: dict[str, Item] = {item.id: item for item in items(s)}
    template = document.template(__package__, "page.html.j2")
    drawings = document.drawings(s.facts, s.evidence)
    kind, sentence = sections.answer.headline(s.facts, s.evidence)
    return str(
        template.render(
            study=s.study,
            framework=framework,
            items=by_id,
            about=ABOUT,
            tally=tally(made),
            kind=kind,
            sentence=sentence,
            comparison=sections.answer.comparison(s.facts, s.evidence),
            at=moment(s.at),
            broken=broken(s),
            made=made,
            verify=command("verify", s.study.name, " --storage URL --report FILE"),
            drawings=drawings,
            evidence=document.script(made),
            plots=document.plots(drawings),
            plotly=document.plotly(),
        )
    )
