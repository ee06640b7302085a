"""Objectives that were discovered, as `NAME.json` and `NAME.npz`: `mpo.objective("found/NAME")`."""
