"""The web page of demo.py: what it does with a picture (work.py), and the page itself (page.py)."""
