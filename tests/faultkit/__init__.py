"""Faults on the guide's topology with real processes; see docs/faults.md."""
