"""The report of a study: tables, figures, one HTML page; reads artifacts only, never torch."""
