"""Simulated studies with known truth: false verdicts, true gaps found, what intervals cover."""
