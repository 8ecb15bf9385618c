"""An exception of the author's code in one line: what was raised and where in their file."""

from __future__ import annotations

import traceback


def describe(error: BaseException) -> str:
    """`ValueError: text (function.py:12 in predict)`, the place being the innermost frame."""
    text = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return text
    last = frames[-1]
    return f"{text} ({last.filename.rpartition('/')[2]}:{last.lineno} in {last.name})"
