"""What a network costs and how far it looks."""
