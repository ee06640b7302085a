"""One page for a run, or for an evaluation: Markdown, and HTML with its figures inside.

report.write(Path("runs/quick"))      # report.md and report.html, in the folder
"""

from discovery.report.page import Page
from discovery.report.run import verdict
from discovery.report.writing import page, put, write

__all__ = ["Page", "page", "put", "verdict", "write"]
