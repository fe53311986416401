"""What a method can detect: known lesions put into healthy scans, and the detection limit by size and contrast."""
