"""Test the page in a browser: complete, silent, readable in light, dark, print and on a phone, and safe from names."""

import base64
import json
import re
import sys

import numpy as np
import pytest

from helpers import tiny_models
from helpers.example_reports import make, undelivered, without_data
from helpers.tools import run_cli, run_program
from tflite_sparse.flatbuffer import serde
from tflite_sparse.measurement import sample_pictures
from tflite_sparse.planning.encoder import encode_file
from tflite_sparse.report.page import export as export_page
from tflite_sparse.report.text.names import shown
from tflite_sparse.results.export import Confusion, Interval, OutputAccuracy, Paired
from tflite_sparse.results.latency import BenchedFile, BenchReport, Ratios
from tflite_sparse.results.provenance import Provenance
from tflite_sparse.results.prune import Curve
from tflite_sparse.results.tensor import Tensor
from tflite_sparse.results.wrong import WrongSample
from tflite_sparse.targets import litert
from tflite_sparse.verification.weights import weights_of

HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(2)>"'--><svg/onload=alert(3)>&amp;{{7*7}}"""

DOT = base64.b64encode(sample_pictures.png(np.eye(3)[..., None])).decode()


def full():
    """Return a report with everything that a page can show."""
    report = make()
    interval = Interval(low=0.96, high=0.99, method="wilson")
    models = report.models.model_copy(
        update={
            name: getattr(report.models, name).model_copy(update={"interval": interval})
            for name in ("dense_float32", "dense_int8", "sparse_int8")
        }
    )
    scores = OutputAccuracy(name="classes", metric="top5", dense_float32=0.99, dense_int8=0.98, sparse=0.98)
    accuracy = report.accuracy.model_copy(
        update={
            "also": [scores],
            "paired": [
                Paired(against="dense_float32", difference=-0.02, interval=None, lost=24, gained=4, p_value=0.001)
            ],
            "confusion": [Confusion(output="classes", labels=["cat", "dog"], counts=[[170, 10], [0, 180]])],
            "wrong": [WrongSample(output="classes", sample=17, right="cat", chosen="dog", dense="cat", png=DOT)],
        }
    )
    ratios = Ratios(file_bytes=1, load=1, resident=None, latency=1)
    file = BenchedFile(
        path="model.tflite", file_bytes=65_000, load_ms=3.5, resident_bytes=10**6, latency_ms_median=0.25,
        latency_ms_p90=0.5, ratios=ratios,
    )  # fmt: skip
    return report.model_copy(
        update={
            "models": models,
            "accuracy": accuracy,
            "measured": BenchReport(threads=1, rounds=50, kernels="default", files=[file]),
            "provenance": Provenance(versions={"Python": "3.99.1"}, sha256={"model.tflite": "0123abcd" * 8}),
            "training": Curve(steps=[0, 10, 20], sparsity=[0.0, 0.5, 0.875], learning_rate=[1e-3, 5e-4, 0.0]),
        }
    )


@pytest.fixture
def folder(tmp_path):
    """Write the files of an export: the report, and the file whose masks are drawn."""
    dense = tmp_path / "dense.tflite"
    dense.write_bytes(tiny_models.to_bytes(tiny_models.conv2d()))
    encode_file(dense, tmp_path / "model.tflite", litert.answer)
    (tmp_path / "report.json").write_text(full().model_dump_json())
    run = run_cli("report", tmp_path)
    assert (run.code, run.stdout.strip()) == (0, str(tmp_path / "report.html"))
    return tmp_path


def test_every_part_is_there(folder, visit):
    page = visit(folder / "report.html")
    assert page.title() == "net.keras"
    headings = page.locator("h2").all_inner_texts()
    assert headings == [
        "Size", "Accuracy", "Layers", "Operators", "Masks", "Values", "Latency and memory", "Training", "Verification",
        "Settings and stages", "Made by",
    ]  # fmt: skip
    text = page.locator("main").inner_text()
    assert "All gates passed." in text
    assert "Against dense float32: a loss that 360 samples show (p = 0.001; 24 samples lost, 4 gained)." in text
    assert "0.9812 [0.960, 0.990]" in text
    for words in (
        *("930,001", "bound of the weights", "top5", "cat", "0.250", "no such kernel", "Sample 17: cat, taken for dog"),
        *("multiply-adds in one run", "3.99.1", "0123abcd" * 8),
        "tflite-sparse export net.keras --data digits --out somewhere --sparsity 0.875 --int8",
    ):
        assert words in text
    for chart in page.locator("svg:visible").all():
        box = chart.bounding_box()
        assert box["width"] > 5
        assert box["height"] > 3
    widths = [bar.bounding_box()["width"] for bar in page.locator("h2:has-text('Size') + div rect.bar").all()]
    sizes = [1_040_000, 930_001, 260_000, 70_002, 65_000, 60_003, 45_142]
    assert np.array(widths) / widths[0] == pytest.approx(np.array(sizes) / sizes[0], abs=0.01)
    assert page.locator(".curve path").count() == 2


def test_the_picture_shows_the_mask(folder, visit):
    """Read back in the browser: a pixel is coloured for a kept weight, and transparent for a zero."""
    page = visit(folder / "report.html")
    alpha = page.locator("#masks img").first.evaluate("""image => {
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
        return Array.from({length: bytes.length / 4}, (_, i) => bytes[4 * i + 3]);
    }""")
    (values,) = weights_of(serde.read(folder / "model.tflite")).values()
    shown = values.reshape(len(values), -1)[:256, :256]
    np.testing.assert_array_equal(np.reshape(alpha, shown.shape), np.where(shown, 255, 0))
    assert f"{shown.shape[0]} by 256 are shown" in page.locator("figcaption").first.inner_text()


def test_the_select_works_by_keyboard(folder, visit):
    (folder / "model.tflite").write_bytes(tiny_models.to_bytes(tiny_models.lstm()))
    assert run_cli("report", folder).code == 0
    page = visit(folder / "report.html")
    select, figures = page.locator("select[data-shows=masks]"), page.locator("#masks figure")
    count = figures.count()
    assert count > 2
    assert [figures.nth(i).is_visible() for i in range(count)] == [True] + [False] * (count - 1)
    select.focus()
    page.keyboard.press("End")
    assert [figures.nth(i).is_visible() for i in range(count)] == [False] * (count - 1) + [True]


def test_the_first_tab_leads_to_the_report(folder, visit):
    page = visit(folder / "report.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "report"
    assert page.locator("table").count() == page.locator("table > caption").count()
    assert page.locator("thead th:not([scope=col]), tbody th:not([scope=row]), img:not([alt])").count() == 0


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_width_needs_sideways_scrolling(folder, visit, width):
    page = visit(folder / "report.html", viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_column_is_out_of_view_on_a_phone(folder, visit):
    page = visit(folder / "report.html", viewport={"width": 375, "height": 800})
    hidden = page.locator(".scroll").evaluate_all(
        "found => found.map(each => [each.getAttribute('aria-label'), each.scrollWidth - each.clientWidth])"
    )
    assert len(hidden) > 5
    assert [name for name, width in hidden if width > 0] == []
    operators = page.locator("h2:has-text('Operators') + div")
    assert operators.locator("thead").is_hidden()
    label = operators.locator("td[data-label='multiply-adds']").first.evaluate(
        "cell => getComputedStyle(cell, '::before').content"
    )
    assert label == '"multiply-adds"'


def test_values_beside_each_other_are_in_view(folder, visit):
    page = visit(folder / "report.html", viewport={"width": 1280, "height": 800})
    regions = page.locator(".beside .scroll")
    assert regions.count() == 4
    hidden = regions.evaluate_all("found => found.map(region => region.scrollWidth - region.clientWidth)")
    assert max(hidden) <= 0


def contrast(page, selector):
    """Return the contrast of text on the page, as defined by WCAG 2."""
    colours = page.locator(selector).first.evaluate(
        "element => [getComputedStyle(element).color, getComputedStyle(document.body).backgroundColor]"
    )
    light = []
    for colour in colours:
        part = np.array([int(value) for value in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_schemes_and_their_contrast(folder, visit, scheme, dark):
    page = visit(folder / "report.html", color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 150) is dark
    for selector in ("h1", "td", "caption", ".tool", "thead th"):
        assert contrast(page, selector) >= 4.5, selector
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".skip").is_visible()
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 within its margins, at 96 dots an inch
    assert page.evaluate("document.documentElement.scrollWidth") <= 718


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (without_data(), "Accuracy was not measured."),
        (undelivered(), "weights: 'a|b' differs"),
        (make(tensors=[], verification=None), "All gates passed."),
    ],
    ids=["no data", "undelivered", "no weights"],
)
def test_what_is_not_there_is_left_out(report, words, tmp_path, visit):
    path = tmp_path / "report.html"
    path.write_text(export_page.render(report))
    text = visit(path).locator("main").inner_text()
    assert words in text
    assert "None" not in text
    assert "Masks" not in text


def test_names_are_text_whatever_they_hold(folder, visit):
    """These are names of layers, classes, outputs, the model and reasons, also in the file whose masks are drawn."""
    document = json.loads(full().model_dump_json())

    def hostile(value, key=None):
        if isinstance(value, dict):
            return {name: hostile(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [hostile(each, key) for each in value]
        fixed = {"png", "path", "model_from", "version", "drop_of", "method", "against", "layout", "kernels"}
        return HOSTILE if isinstance(value, str) and key not in fixed else value

    (folder / "report.json").write_text(json.dumps(hostile(document)))
    model = tiny_models.conv2d()
    for tensor in model.subgraphs[0].tensors:
        tensor.name = HOSTILE.encode()
    (folder / "model.tflite").write_bytes(tiny_models.to_bytes(model))
    assert run_cli("report", folder).code == 0
    page = visit(folder / "report.html")
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == page.locator("#masks img, .samples img").count()
    assert page.locator("h1").inner_text() == HOSTILE
    every = [Tensor(**hostile(each.model_dump(mode="json"))) for each in full().tensors]
    assert page.locator("select option").first.inner_text() == shown(every)[0].rstrip()


def test_open_opens_it_in_the_browser(folder):
    opened = folder / "opened.txt"
    browser = folder / "browser.py"
    browser.write_text(f"#!{sys.executable}\nimport sys\nopen({str(opened)!r}, 'w').write(sys.argv[1])\n")
    browser.chmod(0o755)
    run = run_program("report", folder, "--open", cwd=folder, BROWSER=f"{browser} %s")
    assert run.code == 0, run.stderr
    assert opened.read_text() == (folder / "report.html").as_uri()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            None,
            "report.json cannot be read: No such file or directory. Give the folder that export, fit or sweep wrote.",
        ),
        ("{}", "report.json is no report of version 1: "),
        ("[", "report.json is no report of version 1: the file: invalid json"),
    ],
)
def test_without_a_report_it_says_so(content, words, tmp_path):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    run = run_cli("report", tmp_path)
    assert run.code == 2
    assert words in run.stderr
    assert not (tmp_path / "report.html").exists()


def test_the_same_report_gives_the_same_page(folder):
    before = (folder / "report.html").read_bytes()
    assert run_cli("report", folder).code == 0
    assert (folder / "report.html").read_bytes() == before
