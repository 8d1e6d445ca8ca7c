"""The rules of axe, run on a page in a headless Chromium."""

import json
import re
import subprocess

from tests.explanation.test_html import _axe, _browser

RUN = "axe.run().then(r => { document.title = 'AXE' + JSON.stringify(r.violations.map(v => [v.id, v.help])); });"


def violations(page, scheme, folder):
    """The rules that the page breaks in the colours of a scheme, light or dark."""
    file = folder / "page.html"
    script = f"<script>{_axe()}</script><script>{RUN}</script></body>"
    file.write_text(page.replace("</body>", script), encoding="utf-8")
    found = subprocess.run(
        [_browser(), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
         f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", "--virtual-time-budget=20000", "--dump-dom",
         file.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    title = re.search(r"<title>AXE(.*?)</title>", found.stdout)
    assert title is not None, "axe did not finish"
    return json.loads(title[1].replace("&quot;", '"').replace("&amp;", "&"))
