"""Pages in headless Chromium, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def opened(page: Path, script: str, tmp_path: Path, *, anchor: str = "", size: tuple[int, int] = (1280, 8000)) -> str:
    """The elements of a page, scripts left out, once it has run `script`; nothing may be said on the console.

    There is no network. size: of the window, in pixels; what lies outside of it isn't drawn by a page that waits.
    """
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    probe = tmp_path / "probe.html"
    probe.write_text(page.read_text("utf-8").replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={size[0]},{size[1]}"]
    flags += ["--virtual-time-budget=10000", "--dump-dom", "--enable-logging=stderr"]
    done = subprocess.run([CHROMIUM, *flags, probe.as_uri() + anchor], capture_output=True, timeout=300, check=False)
    console = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    assert not console, console
    # Behind the page's own scripts, which hold all words as well.
    return re.sub(r"<script.*?</script>", "", done.stdout.decode(), flags=re.DOTALL)
