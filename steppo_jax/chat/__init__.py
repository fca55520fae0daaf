"""Text of a conversation ↔ token ids, by the tokenizer and template of the model."""
