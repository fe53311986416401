"""What the stages of a study work with and on; their order is in :mod:`cordlesion.study.run`."""
