"""Folds for reading: views derived from events and entities, pure like the domain."""
