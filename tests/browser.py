"""A real browser that reaches no network, where there is one."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image


def screenshot(page: Path, folder: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Return what a page shows after two seconds; the test is skipped where no browser is.

    Args:
      page: an HTML file.
      folder: an empty one, for the browser.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("neither chromium nor google-chrome is on the path")
    command = [
        browser,
        *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"),
        *("--host-resolver-rules=MAP * 0.0.0.0", f"--user-data-dir={folder / 'profile'}"),
        *("--window-size=900,1200", f"--screenshot={folder / 'shown.png'}"),
        page.resolve().as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return np.asarray(Image.open(folder / "shown.png").convert("RGB"))
