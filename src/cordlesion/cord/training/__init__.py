"""Training of the cord detector (torch), for developers: simulated slices, augmentation, validation."""
