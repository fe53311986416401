"""Converts a scan to a stack and back: region, centerline, resampling, intensity standardisation."""
