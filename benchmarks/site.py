"""`site`: how long `python -m registry site` takes over thousands of made-up records, and a page of 1000 rows.

A build is timed by the clock and in processor time of all its processes, which a busy machine hardly stretches.

What a browser does is timed in processor time of the page's own thread, which a busy machine hardly stretches:
opening the page with all that it draws, sorting, filtering. The first paint is timed by the clock, so that its
least value says most. Nothing is timed where playwright or a Chromium is missing.
"""

import dataclasses
import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.board import BoardSettings, timed, write_records
from benchmarks.measure import Spread

AIM_S, AIM_MB = 30.0, 500.0
AIMS_MS = {"first paint": 500.0, "opening": 500.0, "sort": 100.0, "filter": 100.0}
PATIENCE_MS = 300_000  # of a busy machine
ROWS = 1000
REPEATS = 7
PARTS = ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration")
ALL = ("TaskDuration",)
SORT = """() => {
  document.querySelector("table").tHead.rows[0].cells[3].querySelector("button").click();
  document.body.offsetHeight;
}"""
FILTER = """() => {
  const input = document.querySelector(".tools input");
  input.value = input.value ? "" : "0.3";
  input.dispatchEvent(new Event("input"));
  document.body.offsetHeight;
}"""
PAINTED = """new Promise(found => new PerformanceObserver(seen => {
  const paint = seen.getEntriesByName('first-contentful-paint')[0];
  if (paint) found(paint.startTime);
}).observe({type: 'paint', buffered: true}))"""


@dataclasses.dataclass(frozen=True)
class SiteSettings:
    """How it is measured."""

    methods: int = 2000
    rounds: int = 3


def compare(settings: SiteSettings) -> dict[str, Any]:
    """Measure the command in a process of its own, start included, and then a page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = sum(1 for _ in write_records(folder / "boards", BoardSettings(settings.methods)))
        load_before = report.load_average()
        words = ["site", "--from", str(folder / "boards"), "--to", str(folder / "site")]
        walls, processor_s = zip(*(_timed(words) for _ in range(settings.rounds)), strict=True)
        _, peak_mb = timed(words, module="registry", watch_memory=True)
        sizes = {
            "site": sum(path.stat().st_size for path in (folder / "site").rglob("*") if path.is_file()),
            "front page": (folder / "site" / "index.html").stat().st_size,
        }
        sum(1 for _ in write_records(folder / "rows", BoardSettings(ROWS)))
        timed(["site", "--from", str(folder / "rows"), "--to", str(folder / "page")], module="registry")
        load_before_page = report.load_average()
        page = _in_browser(folder / "page" / "protocols" / "digits_v1.html")
    return {
        "settings": dataclasses.asdict(settings),
        "environment": report.environment(),
        "conditions": {"load_before": load_before, "load_before_page": load_before_page},
        "records": records,
        "wall_s": walls,
        "processor_s": processor_s,
        "bytes": sizes,
        "peak_mb": peak_mb,
        "page": page,
    }


def _timed(words: list[str]) -> tuple[float, float]:
    """Run a command of the registry; return its wall time and the processor time of all its processes [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall_s, _ = timed(words, module="registry")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _in_browser(path: Path) -> dict[str, list[float]]:
    """Time a page [ms]: until its first paint, its opening, sorting and filtering; empty without a browser."""
    where = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    if where is None:
        return {}
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=where, args=["--no-sandbox"])
        times_ms: dict[str, list[float]] = {"first paint": [], "opening": []}
        for _ in range(REPEATS):  # each in a process of its own, whose time starts at nothing
            page = browser.new_context().new_page()
            page.set_default_timeout(PATIENCE_MS)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(path.as_uri())
            times_ms["first paint"].append(float(page.evaluate(PAINTED)))
            times_ms["opening"].append(1000 * _spent_s(session, ALL))
        for what, script in (("sort", SORT), ("filter", FILTER)):
            times_ms[what] = [_processor_ms(page, session, script) for _ in range(REPEATS)]
        browser.close()
    return times_ms


def _processor_ms(page: Any, session: Any, script: str) -> float:
    """Run a script in a page; return the processor time of script, style and layout [ms]."""
    before = _spent_s(session, PARTS)
    page.evaluate(script)
    return 1000 * (_spent_s(session, PARTS) - before)


def _spent_s(session: Any, parts: tuple[str, ...]) -> float:
    """Add up processor times of a page so far [s]; `parts`: names of Chromium's metrics."""
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return sum(metrics[part] for part in parts)


def show(result: dict[str, Any]) -> str:
    """Write the result of `compare` as the table that the command prints."""
    spread = Spread.of(result["wall_s"])
    rows = [["start to end, s", f"{spread.median:.2f}", f"{spread.low:.2f}-{spread.high:.2f}", f"{AIM_S:g}"]]
    spread = Spread.of(result["processor_s"])
    rows.append(["processor, s", f"{spread.median:.1f}", f"{spread.low:.1f}-{spread.high:.1f}", ""])
    rows += [[f"{what}, kB", f"{size / 1000:,.0f}", "", ""] for what, size in result["bytes"].items()]
    if result["peak_mb"]:
        rows.append(["memory of all processes, MB", f"{result['peak_mb']:.0f}", "", f"{AIM_MB:g}"])
    for what, values_ms in result["page"].items():
        page_spread, aim_ms = Spread.of(values_ms), AIMS_MS[what]
        row = [
            f"{what} of {ROWS} rows, ms",
            f"{page_spread.median:.0f}",
            f"{page_spread.low:.0f}-{page_spread.high:.0f}",
            f"{aim_ms:g}",
        ]
        rows.append(row)
    head = [f"board site, {result['records']} records", "median", "of rounds", "aim for 10,000"]
    return f"{report.table(head, rows)}\n\n{os.cpu_count()} cores"
