import pytest

from steppo_jax.text import programs as text
from tests.gateway import made
from tests.text import tiny


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def inner(folder):
    """Programs of the tiny model, compiled once for all gateways."""
    return text.build(made.config(folder))


@pytest.fixture(scope="session")
def params(inner):
    return inner.begin().policy


@pytest.fixture(scope="module")
def gateway(inner, params, tmp_path_factory):
    """One gateway for the tests of a module that disturb nobody."""
    with made.gateway(inner, tmp_path_factory.mktemp("gateway"), params) as found:
        yield found


@pytest.fixture(scope="module")
def client(gateway):
    return gateway[0]
