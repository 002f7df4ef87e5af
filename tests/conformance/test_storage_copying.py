"""A study taken from one store to another is the same study there: its rows, its chain, its leases, and what comes next."""

from dataclasses import replace

import pytest
from stores import DONE, SPEC, STORES, put, row, running, verify

from trimtab.errors import StudyMismatch
from trimtab.records import Change, Report, State, StudyState
from trimtab.storage.copying import copy

KINDS = sorted(STORES)


@pytest.fixture(params=KINDS)
def other(request, tmp_path, clock):
    (tmp_path / "other").mkdir()
    made = STORES[request.param](tmp_path / "other", clock)
    yield made
    made.close()


@pytest.fixture
def lived(store, study):
    """A study with an ended, a running and a queued trial; reports of two attempts, one of them written twice; a note."""
    first = running(store, study)
    for step, loss in ((1, 0.9), (2, 0.8), (1, 0.7)):
        store.report(first, [Report(0, 1, step, {"loss": loss}, 1000.0)], 15.0)
    store.revise(study, Change("requeue", number=0, attempt=1, body={"why": "interrupted"}))
    again = store.claim(study, "another", 15.0)
    store.report(again, [Report(0, 2, 1, {"loss": 0.6}, 1000.0)], 15.0)
    store.finish(again, DONE)
    store.revise(study, Change("note", number=0, text="a note"))
    running(store, study)
    put(store, study)
    return study


def rows(store, study):
    return [replace(t, study=0) for t in store.trials(study).trials]


def test_everything_arrives_as_it_was(store, other, lived):
    other.create(replace(SPEC, name="somebody else's"))
    made = copy(store, lived, other)
    assert made == replace(store.study(lived), id=made.id)
    assert rows(other, made.id) == rows(store, lived)
    assert other.reports(made.id) == store.reports(lived)
    assert [r.written for r in other.reports(made.id)] == [3, 2, 4]
    assert other.reports_since(made.id, 2, 9) == store.reports_since(lived, 2, 9)
    assert other.events(made.id) == store.events(lived)
    assert other.actors(made.id) == store.actors(lived)
    assert verify(other, made.id) == []


def test_the_study_goes_on_there(store, other, lived, clock):
    made = copy(store, lived, other)
    held = row(other, made.id, 1)
    other.report(held, [Report(1, 1, 1, {"loss": 0.5}, 1000.0)], 15.0)
    assert other.reports(made.id, 1)[0].written == 5
    other.finish(held, DONE)
    assert other.claim(made.id, "worker", 15.0).number == 2
    clock.now += 20
    assert other.claim(made.id, "worker", 15.0).attempt == 2
    put(other, made.id)
    assert verify(other, made.id) == []
    assert row(store, lived, 1).state is State.RUNNING  # nothing of it is known here


def test_a_study_or_a_name_that_is_there_already_is_refused_and_nothing_is_written(store, other, lived):
    copy(store, lived, other)
    with pytest.raises(StudyMismatch, match="holds study 's' already"):
        copy(store, lived, other)
    store.revise(lived, Change("archive"))
    second = store.create(SPEC)
    with pytest.raises(StudyMismatch, match="another study 's' in the store; archive that one first"):
        copy(store, second.id, other)
    assert len(other.studies()) == 1


def test_an_archived_study_is_copied_beside_a_living_one_of_its_name(store, other, lived):
    other.create(SPEC)
    store.revise(lived, Change("archive"))
    made = copy(store, lived, other)
    assert made.state is StudyState.ARCHIVED
    assert verify(other, made.id) == []


def test_a_study_that_is_being_changed_is_not_copied(store, other, lived, monkeypatch):
    read = store.events
    monkeypatch.setattr(store, "events", lambda study: (put(store, study), read(study))[1])
    with pytest.raises(StudyMismatch, match="is being changed; pause it"):
        copy(store, lived, other)
    assert other.studies() == []
