"""Games whose Shapley values are known in closed form."""
