"""Where the checkout is, for tests that read its files or start its programs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PRODUCTS = ("custody_dashboard", "custody_demo", "custody_eventsourcing", "custody_top")
PACKAGES = ("domain", "projections", "handlers", "infra", *PRODUCTS)
"""What the service's distribution holds."""
