"""Players: how each kind of them lays itself on an input."""
