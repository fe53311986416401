"""Where the work of a study happens."""
