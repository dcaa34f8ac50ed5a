"""Many rows of one model as one game."""
