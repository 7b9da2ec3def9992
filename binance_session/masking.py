"""What may be shown of a secret."""

from __future__ import annotations

__all__ = ["masked"]


def masked(secret: str) -> str:
    """Return enough of a secret to tell two apart, and no more."""
    return f"{secret[:4]}…{secret[-2:]}" if len(secret) >= 16 else "…"
