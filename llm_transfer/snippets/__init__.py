"""An objective as a function to paste or to call: PyTorch, JAX or NumPy, from one expression."""
