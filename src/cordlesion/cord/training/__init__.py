"""The training of the cord detector (torch): simulated slices, disturbances, validation. For developers."""
