"""How a network is APPLIED: from a name to a ready network, in tiles or whole, on image files and video files."""
