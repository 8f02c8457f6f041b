"""Frame times of a page of `cpvae explore` with many rows, in a Chromium that Playwright starts.

cpvae sample RUN -n 100000 --out many.csv
cpvae explore RUN many.csv --rows 100000 --static many.html
python benchmarks/explore.py many.html --out results/explore.json

CPVAE_CHROMIUM is the path of a Chromium; without it, that of Playwright is used.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cpvae.files import write_json
from cpvae.fitting.runs import versions

RECORD = """() => {
  const frames = [];
  let last = null;
  const step = (now) => {
    if (last !== null) frames.push(now - last);
    last = now;
    if (window.recording) requestAnimationFrame(step);
  };
  window.recording = true;
  window.frames_seen = frames;
  requestAnimationFrame(step);
}"""
TOOL = """() => {
  const plot = Bokeh.documents[0].get_model_by_name("map");
  plot.toolbar.active_drag = plot.toolbar.tools.find((tool) => tool.type === "PanTool");
  return Bokeh.documents[0].get_model_by_name("points").get("x").length;
}"""
CHOOSE = """async (which) => {
  const next = () => new Promise((done) => requestAnimationFrame(done));
  const before = performance.now();
  const choice = document.getElementById("colour");
  if (which === "colour") { choice.selectedIndex = 1; choice.dispatchEvent(new Event("change")); }
  if (which === "select") document.getElementById("card-select").click();
  if (which === "clear") document.getElementById("clear").click();
  await next();
  await next();
  return performance.now() - before;
}"""


def seconds_used() -> float:
    """Give the processor time of this process and of those it started, the browser among them, in seconds."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            name, _, rest = path.read_text().rpartition(")")
            fields = rest.split()
            parents[int(name.split()[0])] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    total, look = 0, [os.getpid()]
    while look:
        one = look.pop()
        total += parents.get(one, (0, 0))[1]
        look += [child for child, (parent, _) in parents.items() if parent == one]
    return total / os.sysconf("SC_CLK_TCK")


def measure(page: Any, place: str) -> dict[str, Any]:
    """Open a page and measure it; times are in milliseconds, the median and the 95 % quantile of frames.

    On a machine that does other work, too, the processor time of a frame says more than the time between frames.
    """
    before = time.perf_counter()
    page.goto(place)
    page.wait_for_function("document.documentElement.dataset.ready === 'yes'", timeout=120_000)
    opened = time.perf_counter() - before
    page.wait_for_timeout(1000)
    figures: dict[str, Any] = {"seconds_until_it_can_be_used": round(opened, 2)}
    figures["rows"] = page.evaluate(TOOL)
    box = page.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for what in ("drag", "wheel"):
        page.mouse.move(x, y)
        page.evaluate(RECORD)
        used = seconds_used()
        if what == "drag":
            page.mouse.down()
        for i in range(30):
            if what == "drag":
                page.mouse.move(x + 4 * i, y + 2 * i)
            else:
                page.mouse.wheel(0, -60 if i % 2 else 60)
        if what == "drag":
            page.mouse.up()
        frames = sorted(page.evaluate("(() => { window.recording = false; return window.frames_seen; })()"))
        figures[what] = {
            "frames": len(frames),
            "processor_ms": round(1000 * (seconds_used() - used) / len(frames), 1),
            "median_ms": round(frames[len(frames) // 2], 1),
            "quantile_95_ms": round(frames[int(0.95 * len(frames))], 1),
        }
        page.wait_for_timeout(2500)
    for what in ("select", "clear", "colour"):
        figures[f"{what}_ms"] = round(page.evaluate(CHOOSE, what), 1)
        page.wait_for_timeout(1500)
    figures["drawn_by"] = page.evaluate("Bokeh.documents[0].get_model_by_name('map').output_backend")
    return figures


def main() -> None:
    """Measure the page that is named, and write a result file."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CPVAE_CHROMIUM"))
        figures = measure(browser.new_page(viewport={"width": 1280, "height": 900}), args.page.absolute().as_uri())
        version = browser.version
        browser.close()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    found = {
        "command": f"python benchmarks/explore.py {args.page.name} --out {args.out}",
        "commit": commit,
        "versions": {**versions(), "bokeh": importlib.metadata.version("bokeh"), "chromium": version},
        "device": f"cpu, {os.cpu_count()} cores, {len(os.sched_getaffinity(0))} used",
        "other_jobs": round(load, 1),  # at work on these cores when it began
        **figures,
    }
    write_json(args.out, found)
    print(found)


if __name__ == "__main__":
    main()
