import pytest

from steppo_jax.text import source
from tests.text import tiny


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def chat(folder):
    return source.find(str(folder)).chat()
