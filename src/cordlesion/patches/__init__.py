"""From stacks to patches and back."""
