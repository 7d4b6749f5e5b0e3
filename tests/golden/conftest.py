"""Makes the harness and the checkers importable by their own names, under pytest's importlib mode too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
