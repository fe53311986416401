"""The network and the bundle that carries a trained one."""
