"""What a run did, as a page to read, and several runs side by side."""

from clearprop.reporting.page import report_html

__all__ = ["report_html"]
