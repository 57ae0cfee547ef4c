"""The nouns: what the tasks talk about."""
