"""The tokenizer rebuilt from a GGUF file is the one it was made of."""

import json

import gguf
import pytest

from steppo_jax.chat import gguf_tokenizer
from steppo_jax.chat import tokenizer as chat
from steppo_jax.chat.template import ChatError
from tests.chat.make_reference import FOLDER


def describe(writer, words):
    """Adds the reference tokenizer's words and settings."""
    stored = json.loads((FOLDER / "tokenizer.json").read_text())["model"]
    tokens = sorted(stored["vocab"], key=stored["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in stored["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    template = json.loads((FOLDER / "tokenizer_config.json").read_text())
    writer.add_chat_template(template["chat_template"])


def write(path, words):
    writer = gguf.GGUFWriter(path, "llama")
    describe(writer, words)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_same_conversations_give_the_same_ids(tmp_path):
    write(tmp_path / "model.gguf", "gpt-2")
    model = gguf_tokenizer.load(tmp_path / "model.gguf")
    assert model.stop == chat.load(FOLDER).stop
    for example in json.loads((FOLDER / "conversations.json").read_text()):
        options = dict(example["case"])
        ids = model.conversation(options.pop("messages"), **options)
        assert ids == example["ids"]
        assert model.decode(ids, skip_control=False) == example["text"]


def test_digits_are_single_tokens_where_the_model_wants_it(tmp_path):
    write(tmp_path / "model.gguf", "smollm")
    model = gguf_tokenizer.load(tmp_path / "model.gguf")
    assert len(model.encode("12345")) == 5


def test_an_unknown_word_rule_is_refused(tmp_path):
    write(tmp_path / "model.gguf", "llama-bpe")
    with pytest.raises(ChatError, match="'llama-bpe' is not one of gpt2 with smollm"):
        gguf_tokenizer.load(tmp_path / "model.gguf")
