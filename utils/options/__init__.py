"""Option files: the typed tree, its components by registry, and their error messages."""
