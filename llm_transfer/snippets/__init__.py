"""An objective as a function to paste or to call: PyTorch or JAX, from one expression."""
