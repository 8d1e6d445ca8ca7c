"""What a run did, as a page to read, and several runs side by side."""

from clearprop.reporting.page import Report, report_html, report_of

__all__ = ["Report", "report_html", "report_of"]
