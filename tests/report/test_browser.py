"""The pages in a real browser, at desktop and phone width: they fit, are whole, and ask for nothing."""

import html
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pillsnap.dataset.write_dataset_page import write_dataset_page
from pillsnap.report.write_report import write_report
from tests.support.dataset_runs import aihub_run, page_arguments
from tests.support.report_inputs import write_inputs

CONSOLE = re.compile(r"CONSOLE:\d+\] (.*)")

# a window is never narrower than 500 pixels; a frame may be
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:900px" srcdoc="{page}"></iframe>
<script>
addEventListener("load", () => {{
  const frame = document.querySelector("iframe"), view = frame.contentWindow, page = frame.contentDocument;
  const beyond = [...page.querySelectorAll("main *, header *")].filter(one =>
    one.getBoundingClientRect().right > view.innerWidth + 1 && !one.closest(".scroll"));
  const button = page.querySelector("button.open"), dialog = page.querySelector("dialog");
  button?.click();
  const measured = {{
    width: view.innerWidth,
    scrollWidth: page.documentElement.scrollWidth,
    beyond: beyond.slice(0, 5).map(one => one.outerHTML.slice(0, 120)),
    requests: view.performance.getEntriesByType("resource").map(one => one.name).filter(name => !/^data:/.test(name)),
    pictures: page.images.length,
    broken: [...page.images].filter(one => one.currentSrc && !one.naturalWidth).length,
    charts: [...page.querySelectorAll(".chart svg")].map(one => one.getBoundingClientRect().width),
    enlarged: Boolean(dialog?.open && dialog.querySelector("img").naturalWidth),
    words: page.body.innerText.slice(0, 400),
  }};
  frame.remove();
  document.documentElement.dataset.measured = JSON.stringify(measured);
}});
</script>"""


def look_at(page: str, width: int, browser: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What a page measures at a width in pixels, and what it wrote to the console."""
    file = folder / f"frame-{width}.html"
    file.write_text(FRAME.format(width=width, page=html.escape(page)), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--window-size=1400,1000"]
    command += ["--virtual-time-budget=5000", "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    measured = re.search(r'<html[^>]* data-measured="([^"]*)"', done.stdout)
    assert measured, f"the page did not load: {done.stderr[-500:]}"
    return json.loads(html.unescape(measured[1])), CONSOLE.findall(done.stderr)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    arguments = write_inputs(tmp_path_factory.mktemp("report"), width=480)
    write_report(**arguments)
    return arguments["report"].read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 390])
def test_report_fits_and_is_whole(page: str, browser: str, tmp_path: Path, width: int) -> None:
    measured, console = look_at(page, width, browser, tmp_path)
    assert measured["width"] == width
    assert measured["scrollWidth"] <= width
    assert measured["beyond"] == [], "outside of tables that scroll by themselves"
    assert measured["requests"] == []
    assert measured["pictures"] > 6
    assert measured["broken"] == 0
    assert len(measured["charts"]) >= 8
    assert all(100 < chart <= width for chart in measured["charts"])
    assert measured["enlarged"], "a click on a picture shows it larger"
    assert console == []
    assert "synthetic" in "".join(measured["words"].splitlines()[:4])


@pytest.fixture(scope="module")
def dataset_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("dataset")
    arguments = page_arguments(aihub_run(folder), "synthetic", folder / "dataset.html")
    write_dataset_page(**arguments)
    return arguments["page"].read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 390])
def test_dataset_page_fits_and_is_whole(dataset_page: str, browser: str, tmp_path: Path, width: int) -> None:
    measured, console = look_at(dataset_page, width, browser, tmp_path)
    assert measured["width"] == width
    assert measured["scrollWidth"] <= width
    assert measured["beyond"] == [], "outside of tables that scroll by themselves"
    assert measured["requests"] == []
    assert measured["pictures"] > 30
    assert measured["broken"] == 0
    assert len(measured["charts"]) >= 11
    assert all(100 < chart <= width for chart in measured["charts"])
    assert measured["enlarged"], "a click on a picture shows it larger"
    assert console == []
    assert "synthetic" in "".join(measured["words"].splitlines()[:4])


def test_what_would_be_wrong_is_seen(browser: str, tmp_path: Path) -> None:
    """The measurement itself: a page that is too wide, asks for a file, and fails in its script."""
    bad = (
        "<!doctype html><main><p style='width:500px'>wide</p><img src='file:///none.png'></main>"
        "<script>undefinedFunction()</script>"
    )
    measured, console = look_at(bad, 390, browser, tmp_path)
    assert measured["scrollWidth"] > 390
    assert len(measured["beyond"]) == 1
    assert measured["broken"] == 1
    assert not measured["enlarged"]
    assert any("undefinedFunction is not defined" in line for line in console)
