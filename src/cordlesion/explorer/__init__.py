"""The explorer shows a finished study in the browser: each scan at any threshold. Read-only, without torch."""
