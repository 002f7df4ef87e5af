"""The auditor's commands: the document, whether the record is intact, whether it can be derived and run again."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ..errors import Damaged
from ..formatting import plural
from .plumbing import ANEW, Ended, file_of, file_option, json_option, opened, resumable, say, storage_flag, the_name

if TYPE_CHECKING:
    from ..study import Study


@click.command()
@the_name
@click.option(
    "--out", required=True, metavar="FILE", help="The file to write: .html, .docx, or .json (the evidence record)."
)
@click.option(
    "--template", default="study", show_default=True, metavar="NAME", help="A framework's name, or a .yaml file."
)
@click.option("--card", metavar="FILE", help="What a person fills in; default: card.yaml beside the study file.")
@click.option("--previous", metavar="FILE", help="The .html or .json document of the study that was approved before.")
@click.option(
    "--at", type=click.IntRange(1), metavar="EVENT", help="The state as of this event; default: the last one."
)
@storage_flag
def report(name: str, out: str, template: str, card: str | None, previous: str | None, at: int | None) -> None:
    """Write the study's document, and print its path."""
    study = opened(name)
    written = study.report(out, template=template, card=card or _card_of(study), previous=previous, at=at)
    say(os.path.relpath(written))


def _card_of(study: "Study") -> str | None:
    """card.yaml beside the study file from which this user ran the study, if it exists."""
    from .allowed import files

    path = files().get(study.record.uid)
    card = None if path is None else os.path.join(os.path.dirname(path), "card.yaml")
    return card if card is not None and os.path.isfile(card) else None


@click.command()
@the_name
@click.option("--report", "document", metavar="FILE", help="Also check this document of the study.")
@storage_flag
def verify(name: str, document: str | None) -> None:
    """Check a study's record against its event chain.

    The exit status is 1 if something does not fit.
    """
    from ..chain.seals import UNCHECKED
    from ..records import StudyState

    try:
        study = opened(name)
    except Damaged as error:
        raise Ended(1, str(error)) from None
    found = study.verify(document)
    for line in found:
        say(line)
    record = study.record
    if found:
        if all(line.endswith(UNCHECKED) for line in found):
            verdict = "what could be checked is intact"
        else:
            what = "document" if document is not None and not study.verify() else "record"
            verdict = f"the {what} is not what was written"
        raise Ended(1, f"study {name!r}: {plural(len(found), 'finding')}; {verdict}")
    size = f"{plural(record.count, 'trial')}, {plural(record.position, 'event')}"
    archived = " (archived)" if record.state is StudyState.ARCHIVED else ""
    say(f"study {name!r}{archived} is intact: {size}, head {record.head[:16]}")
    for line in _grounds(study):
        say(line)


def _grounds(study: "Study") -> Iterator[str]:
    """What the verdict rests on besides the chain: who signed the record, whose names were erased, and which part of it
    something outside the store knows."""
    from .. import keys
    from ..storage.revisions import KINDS

    record, events = study.record, study.storage.events(study.record.id, kinds=KINDS)
    trusted, signed = keys.trusted(), [e.body for e in events if e.kind == "checkpoint"]
    if trusted and not signed:
        yield "nobody has signed it, or the signatures were taken out"
    for said in signed[-1:]:
        owner = trusted.get(said["key"])
        who = f"by {owner}" if owner else f"with key {said['key']}, whose owner is not known here (trimtab key --trust)"
        yield f"signed up to event {said['position']} {who}"
    if erased := {e.position for e in events if "actor" in e.body} - study.storage.actors(record.id).keys():
        yield f"who did event {min(erased)} is not known any more ({plural(len(erased), 'name')} erased)"
    heads = [at for at, _ in [*study.storage.witnessed(record.uid), *keys.signed(record.uid)]]
    known, unseen = _span(heads, record.position)
    if unseen:
        yield f"outside the store {known} here: {unseen} would not show; compare the head with one that you were given"


def _span(heads: Sequence[int], position: int) -> tuple[str, str]:
    """Which part of a record of `position` events is known by its heads, and which change would not show; "" if each
    would."""
    first, last = min(heads, default=0), max(heads, default=0)
    if not heads:
        return "no head was kept", "a record that was cut short or replaced before"
    if last >= position:
        before = "" if first == 1 else "a record that was cut short or replaced before"
        return f"heads were kept from event {first} on only", before
    if first == 1:
        return f"heads were kept up to event {last} only", "what was added or replaced after it"
    return (
        f"heads were kept from event {first} to {last} only",
        "what was replaced before, or added or replaced after them",
    )


@click.command()
@the_name
@click.option("--timestamp", metavar="URL", help="Also get a time stamp (RFC 3161) from this authority.")
@storage_flag
def sign(name: str, timestamp: str | None) -> None:
    """Sign the record as it stands with your key."""

    study = opened(name)
    study.sign(timestamp)
    made = study.storage.events(study.record.id, kinds={"checkpoint"})[-1].body
    say(f"study {name!r}: signed up to event {made['position']} with key {made['key']}")


@click.command()
@click.option("--trust", metavar="KEY", help="Trust this public key from now on.")
@click.option("--name", metavar="NAME", help="The name of its owner.")
def key(trust: str | None, name: str | None) -> None:
    """Print your public key, or trust someone else's."""
    from .. import keys

    if (trust is None) != (name is None):
        raise click.UsageError("--trust and --name go together: --trust KEY --name NAME")
    say(keys.public() if trust is None or name is None else str(keys.trust(name, trust)))


@click.command()
@the_name
@json_option
@storage_flag
def replay(name: str, as_json: bool) -> None:
    """Derive every proposal again from the record, and compare.

    The exit status is 1 if one comes out differently, or only another version can judge it.
    """
    from . import console

    found = opened(name).replay()
    say(console.answer(name, found, as_json))
    if not found.holds and not found.wrong:
        raise Ended(1, f"study {name!r}: {plural(found.unjudged, 'decision')} could not be judged here")
    if not found.holds:
        raise Ended(1, f"study {name!r}: {plural(found.wrong, 'decision')} on record cannot be derived again")


@click.command()
@the_name
@click.option(
    "--trial",
    "numbers",
    metavar="N",
    type=click.IntRange(0),
    multiple=True,
    help="A trial to run again (repeatable); default: five.",
)
@click.option(
    "--tolerance",
    default=0.0,
    metavar="SHARE",
    type=click.FloatRange(0),
    help="Relative difference that counts as the same.",
)
@click.option("--as", "principal", default="", metavar="NAME", help="Who runs them; default: the user of this process.")
@file_option
@json_option
@storage_flag
def reproduce(
    name: str, numbers: tuple[int, ...], tolerance: float, principal: str, file: str | None, as_json: bool
) -> None:
    """Run some trials again and compare their metrics.

    Adds no trials to the study. The exit status is 1 if metrics differ.
    """
    from . import console

    study = opened(name)
    given = file_of(study, file)
    with resumable(ANEW):
        found = study.reproduce(
            given.objective, numbers or None, tolerance=tolerance, principal=principal, workers=given.workers,
            resources=given.resources, supervised=True,
        )  # fmt: skip
    say(console.answer(name, found, as_json))
    if not found.holds:
        raise Ended(1, f"study {name!r}: not every trial gave its metrics again")


VERBS = (report, verify, sign, key, replay, reproduce)
