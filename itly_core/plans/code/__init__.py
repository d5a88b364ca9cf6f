"""How Python code uses a generated package: which files there are, what their names mean, what calls are given."""
