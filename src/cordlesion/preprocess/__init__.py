"""From a scan to its cord stack and back: orientation, centerline, sampling, intensities."""
