"""Compare the documents with the program."""

import importlib.util
import re
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from tflite_sparse.pruning import recipe_file
from tflite_sparse.settings import ExportSettings, FitSettings
from tflite_sparse_cli.main import cli

ROOT = Path(__file__).resolve().parents[2]


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words_of(picture):
    elements = ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in elements]


def test_pictures_show_what_the_encoders_make(tmp_path):
    drawing = script("draw_layouts")
    drawing.write(tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in drawing.TARGET.iterdir())
    for name in made:
        assert words_of(tmp_path / name), name
        assert words_of(drawing.TARGET / name) == words_of(tmp_path / name), f"{name}: run python docs/draw_layouts.py"


def test_cli_reference_is_up_to_date():
    generator = script("generate_cli")
    assert generator.TARGET.read_text(encoding="utf-8") == generator.reference(), "run python docs/generate_cli.py"


def test_every_option_has_help():
    options = [(name, each) for name in cli.list_commands(None) for each in cli.get_command(None, name).params]
    options = [(name, each) for name, each in options if isinstance(each, click.Option)]
    assert len(options) > 50
    assert not [f"{name} {each.name}" for name, each in options if not each.help]


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").glob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_options_named_in_the_documents_exist():
    commands = [cli, *(cli.get_command(None, name) for name in cli.list_commands(None))]
    known = {name for command in commands for option in command.params for name in option.opts}
    named = {
        (path.name, option)
        for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
        for line in re.findall(r"tflite-sparse [a-z]+ [^\n`]*", path.read_text(encoding="utf-8"))
        for option in re.findall(r"(?<![\w-])--[a-z0-9-]+", line)
    }
    assert len(named) > 30
    assert not [f"{path}: {option}" for path, option in sorted(named) if option not in known]


def recipes():
    """Every recipe in a document, in a fence or indented: (document, number of the line, text)."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        content = path.read_text(encoding="utf-8")
        fenced = re.finditer(r"^```toml\n(.*?)^```", content, re.M | re.S)
        indented = re.finditer(r"^((?: {4}.*\n|\n)+)", content, re.M)
        for found in (*fenced, *indented):
            if "[[rule]]" in found[1]:
                yield pytest.param(found[1], id=f"{path.name}:{content.count(chr(10), 0, found.start()) + 1}")


@pytest.mark.parametrize("content", list(recipes()))
def test_recipes_in_the_documents_are_accepted(content, tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(textwrap.dedent(content), encoding="utf-8")
    assert recipe_file.read(recipe).rules


def test_the_index_names_every_document():
    linked = re.findall(r"\]\(([a-z-]+\.md)[)#]", (ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted({path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"})


@pytest.mark.parametrize(("document", "settings"), [("python-api.md", ExportSettings), ("fit.md", FitSettings)])
def test_settings_are_described_with_their_defaults(document, settings):
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", (ROOT / "docs" / document).read_text(encoding="utf-8"), re.M)
    shown = {name: default for name, default in rows if name in settings.model_fields}
    defaults = {name: field.default for name, field in settings.model_fields.items()}
    quoted = {name: f'"{value}"' if isinstance(value, str | Path) else repr(value) for name, value in defaults.items()}
    assert shown == quoted
