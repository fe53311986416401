"""Splits stacks into patches and merges patches into stacks."""
