"""Charts: any numbers can be drawn, pages get their own colours and words, files are the same every time."""

import re
import sys
import xml.etree.ElementTree as ET

import pytest

import clearprop as cl
from clearprop.charts.chart import Axis, Chart, Curve, save_chart, save_charts
from clearprop.charts.svg import STYLE, Charts, measure_chart, reliability_chart

CURVES = [Curve("training <$x$>", range(1, 21), [3 * 0.6**i for i in range(20)]), Curve("val", [1, 9], [2.0, 0.1])]
CHART = measure_chart("loss & more", CURVES, "loss")
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "values", [[], [1.0], [NAN] * 3, [0.0, 0.0], [1e35, 1e35], [-5, 1e-300, INF], [1e308, -1e308], [1e-320, 1e299]]
)
@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("look", ["line", "points"])
def test_any_numbers_can_be_drawn(values, logarithmic, look):
    chart = Chart("t", [Curve("s", range(len(values)), values, look=look)], Axis("x"), Axis("y", logarithmic))
    figure = Charts().add(chart)
    ET.fromstring(figure)
    assert not re.search(r"nan|inf", re.sub(r'aria-label="[^"]*"', "", figure))


def test_a_value_without_neighbours_is_a_point():
    def circles(values):
        chart = Chart("t", [Curve("s", range(30), values)], Axis("x"), Axis("y"))
        return len(ET.fromstring(Charts().add(chart)).findall(".//use"))

    assert circles([1.0] * 30) == 0
    assert circles([1.0, NAN, 2.0, NAN] + [1.0] * 26) == 2


@pytest.fixture(scope="module")
def figures():
    charts = Charts()
    drawn = [charts.add(chart) for chart in (CHART, reliability_chart("Calibration", [0.2, 0.8], [0.1, 0.9]))]
    assert charts.all[0] is CHART and len(charts.all) == 2
    return ET.fromstring(f"<main>{''.join(drawn)}</main>")


def test_words_stay_words(figures):
    loss = figures.find("figure")
    texts = {text.text for text in loss.iter("text")}
    assert {"epoch", "loss", "1", "0.01", "20"} <= texts
    assert not any("font-family" in text.get("style") for text in loss.iter("text"))
    assert [item.findtext(".") or item[-1].tail for item in loss.iter("li")] == ["training <$x$>", "val"]
    label = loss.find("svg[@role='img']").get("aria-label")
    lines = ["training <$x$>: from 3 to 0.000182808, lowest 0.000182808", "val: from 2 to 0.1, lowest 0.1"]
    assert label == "loss & more. " + "; ".join(lines)
    told = figures.findall("figure/svg[@role='img']")[1].get("aria-label")
    assert told == "Calibration. confidence 0.20: 0.10 right; confidence 0.80: 0.90 right"


def test_colours_are_those_of_the_page(figures):
    text = ET.tostring(figures, encoding="unicode")
    assert not re.search(r"#[0-9a-f]{6}\b", text)
    named = set(re.findall(r"var\((--\w+)\)", text))
    assert named == {"--c0", "--c1", "--ink", "--soft", "--line"}
    for scheme in STYLE.split("@media (prefers-color-scheme"):
        assert all(f"{name}:" in scheme for name in named if name.startswith("--c"))


def test_names_are_unique_and_refer_to_what_is_there(figures):
    names = [e.get("id") for e in figures.iter() if e.get("id")]
    assert len(names) == len(set(names)) > 0
    text = ET.tostring(figures, encoding="unicode")
    used = set(re.findall(r'href="#([^"]+)"', text))
    assert used and used <= set(names)


def test_files_are_the_same_every_time(tmp_path):
    first, again = save_charts(tmp_path / "a", [CHART, CHART]), save_charts(tmp_path / "b", [CHART, CHART])
    assert [p.name for p in first] == ["loss-more.png", "loss-more.svg", "loss-more-2.png", "loss-more-2.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    root = ET.fromstring(first[1].read_text())
    words = {e.text for e in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"loss & more", "training <$x$>", "val", "epoch", "loss"} <= words
    assert first[0].read_bytes().startswith(b"\x89PNG")


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(cl.errors.ArgumentError) as caught:
        save_chart(tmp_path / "a.bmp", CHART)
    assert (
        str(caught.value)
        == f"""\
a plot cannot be saved as 'a.bmp'
  expected  a name that ends in .svg, .png, .pdf
  got       '{tmp_path}/a.bmp'
  try       {tmp_path}/a.svg"""
    )


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(cl.errors.ArgumentError) as caught:
        save_charts(tmp_path / "plots", [CHART])
    assert (
        str(caught.value)
        == """\
plots need matplotlib
  expected  matplotlib, which the command line's extra brings
  got       no module named 'matplotlib'
  try       pip install 'clearprop[cli]'"""
    )
