"""Lets a script of this folder run without an installed PowerQE: `python main_x.py`, from any folder.

Python then looks for modules next to the script only; importing this one adds the repository itself.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
