"""What all tests share."""

import os
import shutil
import signal
import sys
import tempfile

import postgres
import pytest
from hypothesis import HealthCheck, settings

import trimtab as tt
from trimtab.engine.blas import one_thread

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background was started with Ctrl-C ignored
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="trimtab-state-")  # what tests remember is not this user's

settings.register_profile("trimtab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trimtab")  # how fast the machine is, is no property of the code


def pytest_unconfigure():
    shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """As in studies: with matrices this small, several threads cost much and give nothing, and tests run side by side."""
    with one_thread():
        yield


@pytest.fixture
def space():
    """A small mixed and conditional space with defaults."""
    return tt.Space(
        kind=tt.Choice("linear", "tree", default="linear"),
        rate=tt.Float(1e-4, 1.0, log=True, default=0.1),
        depth=tt.Int(1, 12, default=6, when={"kind": "tree"}),
    ).require("depth <= 10 or rate < 0.5")


@pytest.fixture
def url(tmp_path):
    """A fresh SQLite store."""
    return f"sqlite:///{tmp_path}/trimtab.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """An empty database: the test runs once on SQLite, and once on PostgreSQL."""
    return f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else postgres.server().database()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder; modules and import paths of a test go with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def loss(trial):
    """A smooth objective on `space`: the best is a tree of depth 5 at rate 0.01."""
    p = trial.params
    bonus = 0.05 * abs(p["depth"] - 5) if p["kind"] == "tree" else 1.0
    return abs(p["rate"] - 0.01) + bonus


@pytest.fixture
def objective():
    return loss
