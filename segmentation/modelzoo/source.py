"""Several modules of this house as one source file that needs none of them."""

import ast
import importlib
import inspect
from types import ModuleType

_HOME = "segmentation"


def bundled(module: ModuleType) -> str:
    """Write a module and all that it imports from this package, lowest first, as one Python source.

    Args:
        module: the topmost module.

    Raises:
        ValueError: two of the modules give different things the same name, or rename what they import.
    """
    order: list[ModuleType] = []
    _collect(module, order)
    names: dict[str, str] = {}
    parts = []
    for part in order:
        tree = ast.parse(inspect.getsource(part))
        inner = [node for node in tree.body if isinstance(node, ast.ImportFrom) and _is_ours(node)]
        for name in _defined(tree):
            if names.setdefault(name, part.__name__) != part.__name__:
                raise ValueError(f"{part.__name__} and {names[name]} both define {name}: they cannot stand in one file")
        lines = inspect.getsource(part).splitlines()
        for node in inner:
            if renamed := [alias for alias in node.names if alias.asname not in (None, alias.name)]:
                raise ValueError(f"{part.__name__} imports {renamed[0].name} under another name: it cannot stand in one file")
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
        parts.append("\n".join([f"# {part.__name__}", *lines]).rstrip())
    return "\n\n\n".join(parts) + "\n"


def _is_ours(node: ast.ImportFrom) -> bool:
    return (node.module or "").split(".")[0] == _HOME


def _collect(module: ModuleType, order: list[ModuleType]) -> None:
    """Put a module behind all those that it needs."""
    if module in order:
        return
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and _is_ours(node):
            _collect(importlib.import_module(str(node.module)), order)
    order.append(module)


def _defined(tree: ast.Module) -> list[str]:
    """Names that a module makes at its top level, without those that it imports."""
    found = []
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append(node.target.id)
    return found
