"""Seeing a study: figures for notebooks, and the document. Nothing here changes a record."""

from .document import render
from .plots import Plots

__all__ = ["Plots", "render"]
