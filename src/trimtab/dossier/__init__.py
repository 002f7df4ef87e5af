"""The document that a reviewer of a model reads: 46 items of evidence, each traced to the record, rendered by templates.

    snapshot (the record as of a position) -> items (facts with sources) -> evidence record (JSON) -> HTML, DOCX

Nothing is invented: an item that the record does not fill and no person has filled is an empty, flagged box. The
document is evidence for a decision; it never says that something complies.
"""
