"""The commands of `itly`, in groups, and what they have in common. cli.py puts them together."""
