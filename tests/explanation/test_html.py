"""The HTML page: well formed, self-contained, accessible in light and dark, readable by a browser."""

import json
import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import pytest

import clearprop as cl
from tests.explanation.neuron import product_form
from tests.explanation.test_entries import _explained


def _neuron():
    y, leaves = product_form()
    return cl.explain(y, wrt=leaves["w"])


def _network():
    f, args, _ = _explained("layer_norm", "cross_entropy")
    return cl.explain(f, "layers[0].weight", args=args)[1, 2]


def _closed():
    x = cl.tensor([-1.0, 2.0], name="x", requires_grad=True)
    return cl.explain(cl.sum(cl.where(x > 0, cl.sqrt(x), x * 0.0)), wrt=x)


PAGES = {"neuron": _neuron, "network": _network, "closed": _closed}


@pytest.fixture(scope="module", params=PAGES)
def page(request):
    return PAGES[request.param]().html()


def test_it_is_well_formed(page):
    assert page.startswith("<!DOCTYPE html>\n")
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    assert root.attrib["lang"] == "en"
    assert len(root.findall(".//h1")) == 1
    assert root.find(".//math") is not None


def test_it_loads_and_runs_nothing(page):
    assert not re.search(r"<script|<link|<img|<iframe|\son\w+=|https?:|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_tables_name_their_columns_and_rows(page):
    root = ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    for table in root.iter("table"):
        assert table.find("caption").text
        assert all(th.attrib["scope"] == "col" for th in table.find("thead").iter("th"))
        assert all(row.find("th").attrib["scope"] == "row" for row in table.find("tbody"))


def test_text_of_the_user_is_escaped():
    x = cl.tensor(1.0, name="<b>&x", requires_grad=True)
    page = cl.explain(x * x, wrt=x).html()
    assert "<b>" not in page
    ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def test_a_notebook_gets_text_and_html():
    explanation = _neuron()
    bundle = explanation._repr_mimebundle_()
    assert bundle["text/plain"] == str(explanation)
    assert bundle["text/html"].startswith('<div class="clearprop">')
    entry = explanation[0]
    assert entry._repr_mimebundle_()["text/plain"] == str(entry)
    ET.fromstring(entry._repr_mimebundle_()["text/html"])


def test_what_was_not_computed_is_a_page_too():
    x, w = cl.tensor(1.0, name="x"), cl.tensor(1.0, name="w", requires_grad=True)
    assert "Not computed: x did not require a gradient" in cl.explain(x * w, wrt=x).html()


# ---------------------------------------------------------------------------------------------- in a browser
def _missing(what):
    """A tool that continuous integration must have is a failure there, and a skip elsewhere."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{what} is not installed")


def _browser():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or _missing("chromium")


def _axe():
    spec = find_spec("axe_core_python")
    if spec is None:
        _missing("axe-core-python")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


LARGE = [pytest.param(name, marks=pytest.mark.verify) for name in ("neuron", "network")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["closed", *LARGE])
def test_it_passes_the_rules_of_axe(name, scheme, tmp_path):
    browser, axe = _browser(), _axe()
    run = "axe.run().then(r => { document.title = 'AXE' + JSON.stringify(r.violations.map(v => [v.id, v.help])); });"
    page = PAGES[name]().html().replace("<details>", "<details open='open'>")
    file = tmp_path / "page.html"
    file.write_text(page.replace("</body>", f"<script>{axe}</script><script>{run}</script></body>"), encoding="utf-8")
    found = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--virtual-time-budget=20000", "--dump-dom",
         file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>AXE(.*?)</title>", found.stdout)
    assert title is not None, "axe did not finish"
    assert json.loads(title[1].replace("&quot;", '"').replace("&amp;", "&")) == []
