"""From a scan to its stack and back: region, orientation, centerline, sampling, intensities."""
