"""The exit codes of the command line."""

DONE, FAULT, MISTAKE, INTERRUPTED = 0, 1, 2, 130
"""All went well; our fault; the user's mistake; Ctrl-C."""
