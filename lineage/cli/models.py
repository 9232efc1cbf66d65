"""Commands about models of segmentation: what there is, what is in it, packages of the bioimage.io model zoo out and in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .shared import app

models_app = typer.Typer(help="Models of segmentation: list, show, export and import packages.", rich_markup_mode=None)
app.add_typer(models_app, name="models")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A shipped name, a weights file, or a package (zip, folder).")]


@models_app.command("list")
def list_models() -> None:
    """List the models that are shipped."""
    from segmentation.modelzoo.telling import shipped

    for name, sentence in shipped():
        print(f"{name}: {sentence}")


@models_app.command()
def show(name: Model) -> None:
    """Show what a model is made of, what it was trained on and what it says."""
    from segmentation.modelzoo import load
    from segmentation.modelzoo.telling import told

    print("\n".join(f"{key}: {value}" for key, value in told(load(name, device="cpu")).items()))


@models_app.command("export")
def export_model(
    name: Model,
    out: Annotated[Path, typer.Argument(metavar="OUT.zip", help="Package to write.")],
    image: Annotated[
        Path | None, typer.Option(help="Picture that becomes the example in the package; simulated when not given.", show_default=False)
    ] = None,
    title: Annotated[str, typer.Option(help="Name of the model in the package; the file's when not given.", show_default=False)] = "",
    description: Annotated[str, typer.Option(help="One or two sentences.", show_default=False)] = "",
    author: Annotated[list[str] | None, typer.Option(help="Name of an author; may be given several times.")] = None,
    license: Annotated[str, typer.Option(help="SPDX identifier, such as CC-BY-4.0.", show_default=False)] = "",  # noqa: A002 (the option's name)
    cite: Annotated[list[str] | None, typer.Option(help="DOI of a paper; may be given several times.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Word to find it by; may be given several times.")] = None,
    card: Annotated[Path | None, typer.Option(help="Model card, Markdown; that of a shipped model when not given.")] = None,
) -> None:
    """Write a model as a package that other programs can use."""
    from segmentation.modelzoo import load, write_package
    from segmentation.modelzoo.telling import card_of, example

    model = load(name, device="cpu")
    remarks = write_package(
        model,
        out,
        test_image=example(model, image),
        name=title or Path(name).stem,
        description=description,
        authors=author or (),
        license=license,
        cite=[{"text": doi, "doi": doi} for doi in cite or ()],
        tags=tag or (),
        documentation_text=card.read_text(encoding="utf-8") if card else card_of(name),
    )
    print("\n".join(f"note: {remark}" for remark in remarks))
    print(f"written: {out} ({out.stat().st_size / 1e6:.1f} MB)")


@models_app.command("import")
def import_model(
    package: Annotated[Path, typer.Argument(help="Model package: a zip archive or a folder with rdf.yaml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Weights file, .safetensors.")] = Path("model.safetensors"),
    decoder: Annotated[
        str, typer.Option(help="Method to find the cells, such as boundary; by the names of the outputs when not given.")
    ] = "",
) -> None:
    """Bring the model of a package into a weights file of this program, which is a U-Net and may be trained further."""
    from segmentation.modelzoo import read_package
    from segmentation.modelzoo.telling import save_imported, told

    model = read_package(package, decoder=decoder or None, device="cpu")
    save_imported(model, out, package)
    print("\n".join(f"{key}: {value}" for key, value in told(model).items()))
    print(f"written: {out}")
