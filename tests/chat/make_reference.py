"""Writes tests/chat/reference/: a tiny byte-level tokenizer with a template that uses
what real ones use (tools, loop controls, whitespace marks), and what `transformers`
makes of a few conversations. Needs transformers; run by hand:

    python tests/chat/make_reference.py
"""

import json
import pathlib

FOLDER = pathlib.Path(__file__).parent / "reference"
TEMPLATE = """\
{%- if messages | length == 0 %}{{ raise_exception('nothing said') }}{% endif %}
{%- if tools %}
    {{- '<|start|>system\\nTools:' }}
    {%- for tool in tools %}
        {{- '\\n' ~ (tool | tojson) }}
    {%- endfor %}
    {{- '<|end|>\\n' }}
{%- endif %}
{% for message in messages %}
{% if message.role == 'note' %}{% continue %}{% endif %}
{{- '<|start|>' + message.role + '\\n' -}}
{% if message.role == 'assistant' %}
{% generation %}{{ message.content | trim }}{% endgeneration %}
{% for call in message.tool_calls or [] %}
    {{- '\\n<tool_call>\\n' + (call.function | tojson) + '\\n</tool_call>' }}
{% endfor %}
{% else %}{{ message.content }}{% endif %}
{{- '<|end|>\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}
{% if thinking is defined and not thinking %}{{ '<think>\\n\\n</think>\\n' }}{% endif %}
"""
SPECIAL = ("<|start|>", "<|end|>")
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Finds pages & <passages>; «exact» ≤ 5.",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
    },
}
CALL = {"type": "function", "function": {"name": "search", "arguments": {"query": "é"}}}
CASES = [
    {"messages": [{"role": "user", "content": "Hello  world\n\tdon't 12345"}]},
    {
        "messages": [
            {"role": "system", "content": "naïve 東京 🙂👩‍🚀 ﷽ \u200b"},
            {"role": "user", "content": "{{ messages }} {% raw %}"},
            {"role": "note", "content": "left out"},
            {"role": "assistant", "content": "  trimmed  ", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"a": [1, 2]}'},
        ],
        "tools": [SEARCH],
    },
    {
        "messages": [{"role": "user", "content": ""}],
        "add_generation_prompt": False,
        "thinking": False,
    },
]


def main() -> None:
    import tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False
    )
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(SPECIAL),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    corpus = [json.dumps(CASES, ensure_ascii=False), TEMPLATE.replace("<|", "< |")]
    tokenizer.train_from_iterator(corpus, trainer)
    FOLDER.mkdir(exist_ok=True)
    tokenizer.save(str(FOLDER / "tokenizer.json"), pretty=False)
    settings = {"eos_token": "<|end|>", "chat_template": TEMPLATE}
    text = json.dumps(settings, indent=1, ensure_ascii=False)
    (FOLDER / "tokenizer_config.json").write_text(text + "\n")
    theirs = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", chat_template=TEMPLATE
    )
    out = []
    for case in CASES:
        options = {"add_generation_prompt": True} | case
        rendered = theirs.apply_chat_template(
            options.pop("messages"), tokenize=False, **options
        )
        ids = theirs(rendered, add_special_tokens=False)["input_ids"]
        out.append({"case": case, "text": rendered, "ids": ids})
    document = json.dumps(out, ensure_ascii=False, indent=1)
    (FOLDER / "conversations.json").write_text(document + "\n")


if __name__ == "__main__":
    main()
