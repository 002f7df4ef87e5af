"""The stores that the suites of the Storage protocol run on."""

import pytest
from stores import SPEC, STORES, Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=sorted(STORES))
def store(request, tmp_path, clock):
    made = STORES[request.param](tmp_path, clock)
    yield made
    made.close()


@pytest.fixture
def study(store):
    return store.create(SPEC).id
