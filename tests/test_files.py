"""Documents and other files are written whole or not at all, and the chain knows a document before it is there."""

import os
import resource
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier

import pytest

import trimtab as tt
from trimtab.cli import allowed
from trimtab.errors import UserError
from trimtab.files import write
from trimtab.storage.sql import Sql

SPACE = tt.Space(x=tt.Float(0, 1, default=0.5))


def finished(**how):
    study = tt.Study("s", SPACE, minimize="loss", seed=1, **how)
    study.run(lambda t: t.params["x"], trials=3, quiet=True)
    return study


@contextmanager
def room(size):
    """No file may grow beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_full_disk_leaves_the_document_that_was_there_and_no_half_of_another(tmp_path, form):
    study = finished()
    target = study.report(tmp_path / f"r.{form}")
    before = target.read_bytes()
    study.note(0, "more to say")
    with room(1000), pytest.raises(UserError, match=f"{target.name} cannot be written: File too large"):
        study.report(target)
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == [target.name]
    assert study.verify(target) == []
    assert study.report(target).read_bytes() != before


def test_a_document_that_the_chain_could_not_take_is_told_and_the_same_call_puts_it_there(tmp_path, capsys):
    study = finished(storage=Sql(f"sqlite:///{tmp_path}/s.db", timeout=0.2))
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        target = study.report(tmp_path / "r.json")
    assert "this report is not on record" in capsys.readouterr().err
    content = target.read_bytes()
    assert study.verify(target) != []
    assert study.report(target).read_bytes() == content
    assert study.verify(target) == []


def test_what_may_not_be_written_is_not_replaced_and_leaves_no_event(tmp_path):
    study, folder = finished(), tmp_path / "r.json"
    folder.mkdir()
    with pytest.raises(UserError, match=r"r\.json cannot be written: Is a directory"):
        study.report(folder)
    assert not any(e.kind == "report" for e in study.storage.events(study.record.id))


def test_a_name_that_no_file_can_have_is_told(tmp_path):
    with pytest.raises(UserError, match="xxx cannot be written: File name too long"):
        write(tmp_path / ("x" * 300), b"")


def test_a_link_is_written_through_and_a_device_stays_one(tmp_path):
    real, link, pipe = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "pipe"
    link.symlink_to(real)
    write(link, b"one")
    assert (real.read_bytes(), link.is_symlink()) == (b"one", True)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write(Path(pipe), b"two")
    assert os.read(reader, 10) == b"two"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_file_that_is_replaced_stays_as_private_as_it_was(tmp_path):
    path = tmp_path / "report.html"
    write(path, b"before")
    path.chmod(0o600)
    write(path, b"after")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o600)


def test_the_register_of_study_files_keeps_what_was_noted_at_the_same_moment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    begin, noted = Barrier(8), [f"{n:02}" for n in range(40)]

    def notes(first):
        begin.wait()
        for uid in noted[first::8]:
            allowed.remember(uid, tmp_path / uid)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(notes, range(8)))
    assert sorted(allowed.files()) == noted


def test_a_document_as_of_an_event_is_the_one_that_was_written_then(tmp_path):
    """Also of a trial that has ended since, was stopped, and has a learning curve."""
    how = {"fidelity": tt.Fidelity("epochs", 1, 9), "stopping": {"rule": "threshold", "metric": "loss", "above": 1.0}}
    study = tt.Study("s", SPACE, minimize="loss", seed=1, **how)
    first, second = study.ask(), study.ask()
    first.report(9, loss=0.1)
    study.tell(first, 0.1)
    then = study.record.position
    before = study.report(tmp_path / "then.json").read_bytes()
    second.report(3, loss=2.0)
    assert second.should_stop()
    second.note("it diverged")
    study.tell(second)
    assert study.report(tmp_path / "now.json", at=then).read_bytes() == before
    assert study.trials[1].reached == 3
