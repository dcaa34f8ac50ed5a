"""Forward passes: where a model runs, how coalitions become masked inputs, and how outputs become values."""
