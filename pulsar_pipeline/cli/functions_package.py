"""`functions package NAME`: build a function's package."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from pulsar_pipeline.cli.options import FunctionsOption
from pulsar_pipeline.cli.output import JsonOption, err, out, print_json
from pulsar_pipeline.package.build import BuiltPackage, build_package
from pulsar_pipeline.package.provided import runtime_distributions
from pulsar_pipeline.package.requirements import FILE_NAME as LOCK_NAME
from pulsar_pipeline.settings import Settings

EPILOG = "Example: pulsar-pipeline functions package predictive_maintenance --slim --out dist"

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The function: a folder of the functions folder.")]
SlimOption = Annotated[
    bool, typer.Option("--slim", help="Leave out the wheels that the runtime's own environment has already.")
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Folder for NAME.zip.", show_default="below the cache, one folder per digest"),
]


def package(
    name: NameArgument,
    *,
    functions: FunctionsOption,
    slim: SlimOption = False,
    out_folder: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build NAME.zip: the function, its schemas, what it needs of this product, and its locked wheels.

    The package is run once on the function's sample, with nothing around it, before it is there.
    """
    if not as_json:
        locked = "fetching what its lock pins, then " if (functions / name / LOCK_NAME).is_file() else ""
        err.print(f"building {name}: {locked}running its sample …")
    built = build_named(functions / name, slim=slim, out_folder=out_folder, cache=Settings().cache)
    size = built.path.stat().st_size
    if as_json:
        trial = vars(built.trial)
        document = {"path": str(built.path), "digest": built.digest, "size": size, "slim": slim, "trial": trial}
        print_json({"name": name, **document, "wheels": sorted(built.manifest.wheels)})
        return
    wheels = len(built.manifest.wheels)
    out.print(f"{built.path}\n{built.digest}\n{size / 1e6:.1f} MB, {wheels} wheels", soft_wrap=True, markup=False)
    err.print(f"sample: {built.trial.events} events, {built.trial.outputs} outputs")


def build_named(source: Path, *, slim: bool, out_folder: Path | None, cache: Path) -> BuiltPackage:
    """Build into `out_folder`, or into the cache's folder of that content. Raises PackageError and kin."""
    provided = runtime_distributions() if slim else frozenset[str]()
    wheels = cache / "wheels"
    if out_folder is not None:
        return build_package(source, out_folder, slim=slim, provided=provided, cache=wheels)
    packages = cache / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=packages, prefix=".building-") as folder:
        built = build_package(source, Path(folder), slim=slim, provided=provided, cache=wheels)
        home = packages / f"{built.manifest.name}-{built.digest.removeprefix('sha256:')[:12]}"
        home.mkdir(exist_ok=True)
        return BuiltPackage(built.path.replace(home / built.path.name), built.digest, built.manifest, built.trial)
