"""From cord stacks to patches and back."""
