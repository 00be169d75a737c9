"""`powerqe report`: one page that compares experiments."""
