"""Option files: the typed tree, its components by registry, and how mistakes in them are said."""
