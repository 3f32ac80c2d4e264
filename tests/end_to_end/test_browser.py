"""Files with float32 inputs and outputs run in a browser: LiteRT.js (WebAssembly) in Chromium, beside Python.

npm's packages are fetched at the first run, pinned by their integrity, and kept in the cache of `checks.downloads`.
"""

import json
import mimetypes
import tarfile

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

import tflite_sparse
from checks import downloads
from checks.processes import run

SITE = "http://litert.test"
CHROMIUM = "/usr/bin/chromium"
PACKAGES = {
    "@litertjs/core@2.5.3": "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd",
    "@litertjs/wasm-utils@2.5.3": "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
}
PAGE = """
<!doctype html>
<script type="importmap">{"imports": {
  "@litertjs/core": "/@litertjs/core/dist/index.js", "@litertjs/wasm-utils": "/@litertjs/wasm-utils/dist/index.js"
}}</script>
<script type="module">
  import {loadLiteRt, loadAndCompile, Tensor} from "@litertjs/core";

  window.run = async (file, samples, shape) => {
    await (window.loaded ??= loadLiteRt("/@litertjs/core/wasm/"));
    const model = await loadAndCompile(file, {accelerator: "wasm"});
    const rows = [];
    for (const sample of samples) {
      const input = new Tensor(new Float32Array(sample), shape);
      const [output] = await model.run(input);
      rows.push(Array.from(output.toTypedArray()));
      input.delete();
      output.delete();
    }
    return rows;
  };
  window.ready = true;
</script>
"""


def package(name, sha256):
    """Return the folder of an npm package."""

    def fetch(folder):
        run("npm-pack", ["npm", "pack", "--silent", name], folder=folder)
        return next(folder.glob("*.tgz"))

    def unpack(archive, folder):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")

    return downloads.cached(sha256, fetch, unpack) / "package"


@pytest.fixture(scope="module")
def site(model3, tmp_path_factory):
    """Return the folders of a site by path: the packages, and an export with float32 inputs and outputs."""
    assets = tmp_path_factory.mktemp("web") / "assets"
    tflite_sparse.export(
        model3, "digits", sparsity=0.75, finetune_epochs=0,
        int8=True, io="float32", fixed_batch=True, max_accuracy_drop=1,
        out=assets.parent / "out", android_assets=assets,
    )  # fmt: skip
    folders = {f"{SITE}/{name.rpartition('@')[0]}/": package(name, sha256) for name, sha256 in PACKAGES.items()}
    return {**folders, f"{SITE}/": assets}


@pytest.fixture(scope="module")
def page(site):
    def answer(route):
        url = route.request.url
        if url == f"{SITE}/":
            return route.fulfill(body=PAGE, content_type="text/html")
        root = next(prefix for prefix in site if url.startswith(prefix))
        path = site[root] / url.removeprefix(root)
        return route.fulfill(path=path, content_type=mimetypes.guess_type(path.name)[0] or "application/octet-stream")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/*", answer)
        page.goto(f"{SITE}/")
        page.wait_for_function("window.ready")
        yield page
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model.tflite", "dense-int8.tflite", "dense-float32.tflite"])
def test_outputs_are_those_of_python(file, page, site):
    golden = json.loads((site[f"{SITE}/"] / "golden.json").read_text())
    samples = [sample["input"] for sample in golden["samples"]]
    found = np.array(page.evaluate("([file, x, shape]) => run(file, x, shape)", [f"/{file}", samples, [1, 8, 8, 1]]))
    expected = np.array(golden["outputs"][file])
    assert len(np.unique(expected.argmax(axis=1))) >= 5
    # int8 inside: the same steps of 1/256, or its neighbour where WebAssembly rounds a tie the other way.
    np.testing.assert_allclose(found, expected, atol=1 / 256 if "float32" not in file else 1e-5)
    assert np.array_equal(found.argmax(axis=1), expected.argmax(axis=1))
