"""The web page of `powerqe demo`: what it does with a picture (work.py), and the page itself (page.py)."""
