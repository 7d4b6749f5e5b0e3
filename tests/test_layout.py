"""The house rules of design.md: who may import whom, what `__init__` files hold, how long things may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "unisono"
# Each may import what stands before it (and itself). Before all: what knows of nothing.
HOUSE = [
    "errors",
    "interface",
    "files",
    "audio",
    "text",
    "align",
    "codec",
    "lm",
    "families",
    "hub",
    "speak",
    "train",
    "evaluate",
    "serve",
    "bench",
    "plot",
    "console",
    "options",
    "voice_commands",
    "lab_commands",
    "serve_command",
    "cli",
]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
FILES = sorted(path for path in SRC.rglob("*.py") if "builtin" not in path.parts)
# The records of interface.py name the modules that save and draw them, inside methods; that is their purpose.
EXEMPT = {"interface", "__init__", "__main__"}


def room(path: Path) -> str:
    """The folder or module of the house that a file belongs to."""
    first = path.relative_to(SRC).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a file imports anywhere, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("unisono.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_room_imports_only_what_stands_above_it(path):
    here = room(path)
    if here in EXEMPT:
        return
    assert here in HOUSE, f"{here} has no place in the house: add it to design.md's list and to HOUSE"
    allowed = set(HOUSE[: HOUSE.index(here) + 1])
    assert imported_rooms(path) <= allowed, f"{path.name} imports from below: {imported_rooms(path) - allowed}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE, f"{text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name == "__init__.py"], ids=lambda path: str(path.parent.relative_to(SRC))
)
def test_init_files_define_nothing(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        lazy = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
        imports = isinstance(node, ast.Import | ast.ImportFrom)
        # `__all__`, and the table that a lazy `__getattr__` looks names up in
        names = isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple | ast.Dict)
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        assert lazy or imports or names or text or checking, f"{path}: {ast.unparse(node)[:60]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_every_file_says_what_it_is_for(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), f"{path.name} has no docstring"


def test_nothing_heavy_is_imported_before_a_command_needs_it():
    code = (
        "import sys, unisono, unisono.cli\n"
        "heavy = {'torch', 'transformers', 'numpy', 'soundfile', 'matplotlib', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
