"""The document as HTML: self-contained, reproducible byte for byte, made for screen and paper."""

from collections.abc import Mapping
from typing import Any

from ..formatting import command
from ..reports import document
from ..reports.snapshot import Snapshot
from .frameworks import Framework
from .record import ABOUT, broken, items, tally


def page(s: Snapshot, framework: Framework, made: Mapping[str, Any]) -> str:
    """HTML text. made: the evidence record, which is part of the page. Raises UserError if Plotly or Jinja is missing."""
    return document.page(
        "dossier/page.html.j2",
        s,
        made,
        framework=framework,
        items={item.id: item for item in items(s)},
        about=ABOUT,
        tally=tally(made),
        broken=broken(s),
        verify=command("verify", s.study.name, " --storage URL --report FILE"),
    )
