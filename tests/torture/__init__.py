"""Damaged files, kills and full disks: `make torture MINUTES=N`, see docs/torture.md."""
