"""Request bodies, as far as they are not too large."""

from __future__ import annotations

from fastapi import Request
from starlette.exceptions import HTTPException

MOST_BYTES = 8 << 20
"""Room for a full batch of long entities."""


async def bounded_body(request: Request) -> bytes:
    """The body. Raises HTTPException 413 as soon as it exceeds MOST_BYTES."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise HTTPException(413, f"the body exceeds {MOST_BYTES} bytes")
        parts.append(part)
    return b"".join(parts)
