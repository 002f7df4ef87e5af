"""The document for a model reviewer: 46 items of evidence, each traced to the record, rendered by templates.

    snapshot (the record as of a position) -> items (facts with sources) -> evidence record (JSON) -> HTML, DOCX

Nothing is invented: an item that neither the record nor a person has filled is an empty, flagged box. The document is
evidence for a decision; it never says that something complies.
"""
