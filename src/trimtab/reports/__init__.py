"""Seeing a study: figures for notebooks, and the document. Nothing here changes a record.

what is shown    snapshot (the record at a position), facts (of its trials), limits (what it cannot say), origins (of
                 statements), tables
figures          plots (of a notebook), figures, explanation_figures, lineage_figures; axes, lanes, style
the document     document, with the texts of sections
"""

from .document import render
from .plots import Plots

__all__ = ["Plots", "render"]
