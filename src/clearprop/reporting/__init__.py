"""What a run did, as a page to read, and several runs side by side.

Open to other folders beside the names here: `runs_side_by_side`.
"""

from clearprop.reporting.page import Report, report_html, report_of

__all__ = ["Report", "report_html", "report_of"]
