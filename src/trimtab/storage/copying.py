"""Copying a study from one store to another. The chain is copied as it is, so that the heads of both can be compared."""

from ..errors import StudyMismatch
from ..records import StudyRecord
from . import CompleteStudy, Storage, skip


def copy(source: Storage, study: int, target: Storage) -> StudyRecord:
    """Copy a study into `target`; returns its row there.

    Raises StudyMismatch if the target already has the study, or another one of its name, or if somebody changes the study
    meanwhile.
    """
    whole = _whole(source, study)
    if any(r.uid == whole.study.uid for r in target.studies(damaged=skip)):
        raise StudyMismatch(
            f"{target.url} holds study {whole.study.name!r} already (uid {whole.study.uid[:12]}); go on there, or delete it "
            "there and copy again"
        )
    return target.adopt(whole)


def _whole(source: Storage, study: int) -> CompleteStudy:
    before = source.trials(study)
    reports, events, actors = source.reports(study), source.events(study), source.actors(study)
    if source.study(study).position != before.study.position:
        raise StudyMismatch(
            f"study {before.study.name!r} is being changed; pause it, or end what runs it, and copy again"
        )
    return CompleteStudy(before.study, before.trials, reports, events, actors)
