"""Which modules of this product a function imports, directly or through others: read from the source, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from pulsar_pipeline.errors import PackageError

PRODUCT = "pulsar_pipeline"


def product_closure(sources: Iterable[Path], product: Path, always: Iterable[str] = ()) -> dict[str, Path]:
    """Path within the archive's `src` → file, for every product module that `sources` or the modules `always` need.

    `product` is the folder of the package `pulsar_pipeline`. Imports for type checkers alone are left out, those
    inside functions are not. Raises PackageError for an import of a product module that does not exist, with its line.
    """
    found: dict[str, Path] = {}
    pending: list[str] = list(always)
    for source in sources:
        pending.extend(_product_imports(source, None, product))
    while pending:
        module = pending.pop()
        file = _file_of(module, product)
        relative = f"{PRODUCT}/{file.relative_to(product).as_posix()}"
        if relative in found:
            continue
        found[relative] = file
        pending.extend(_product_imports(file, module, product))
        if "." in module:
            pending.append(module.rpartition(".")[0])
    return dict(sorted(found.items()))


def _file_of(module: str, product: Path) -> Path:
    file = _find(module, product)
    if file is None:
        raise PackageError(f"there is no module {module}")
    return file


def _find(module: str, product: Path) -> Path | None:
    path = product.joinpath(*module.split(".")[1:])
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    file = path.with_suffix(".py")
    return file if module != PRODUCT and file.is_file() else None


def _product_imports(file: Path, module: str | None, product: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        raise PackageError(f"not Python: {error.msg}", where=f"{file}:{error.lineno}") from error
    for node in _runtime_nodes(tree):
        match node:
            case ast.Import():
                wanted = [alias.name for alias in node.names]
            case ast.ImportFrom():
                base = _base(node, file, module)
                wanted = [
                    base,
                    *(f"{base}.{alias.name}" for alias in node.names if _find(f"{base}.{alias.name}", product)),
                ]
            case _:
                continue
        for name in wanted:
            if name != PRODUCT and not name.startswith(f"{PRODUCT}."):
                continue
            if _find(name, product) is None:
                raise PackageError(
                    f"there is no module {name}", where=f"{file}:{node.lineno}", mend="correct the import"
                )
            yield name


def _base(node: ast.ImportFrom, file: Path, module: str | None) -> str:
    """The absolute name of what `from … import` names; the function's own relative imports give ''."""
    if not node.level:
        return node.module or ""
    if module is None:
        return ""
    parts = module.split(".")
    package = parts if file.name == "__init__.py" else parts[:-1]
    anchor = package[: len(package) - node.level + 1]
    return ".".join([*anchor, node.module] if node.module else anchor)


def _runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).rpartition(".")[2] == "TYPE_CHECKING":
            for branch in child.orelse:
                yield branch
                yield from _runtime_nodes(branch)
            continue
        yield child
        yield from _runtime_nodes(child)
