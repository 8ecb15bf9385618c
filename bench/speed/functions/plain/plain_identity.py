"""The identity as a function of Pulsar's own interface alone, for other instances than ours."""

from __future__ import annotations

from typing import Any

import pulsar


class PlainIdentity(pulsar.Function):
    def process(self, input: Any, _context: Any) -> Any:
        return input
