"""Models of sequences: absent tokens and patches that are cut out or get no attention, and answers of language models."""
