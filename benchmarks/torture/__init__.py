"""Damaged inputs, of which every one must be read, or refused in one line."""
