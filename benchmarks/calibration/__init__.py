"""Simulated studies with known truth: false verdicts, power, coverage of intervals."""
