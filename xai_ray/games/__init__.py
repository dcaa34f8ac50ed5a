"""What is evaluated: games, and the players, removals and behaviours that turn a model and an input into one."""
