"""Lesions as things: their number, size, place along the cord, and tables of them."""
