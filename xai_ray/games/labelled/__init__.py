"""Games on a labelled dataset: losses and variances instead of one prediction."""
