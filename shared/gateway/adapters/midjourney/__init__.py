"""Midjourney, under the names that the table of adapters expects.  Pure."""

from shared.gateway.adapters.midjourney.adapters import ADAPTERS

__all__ = ["ADAPTERS"]
