"""The trained agents that come with the package: numbers (npz) and provenance (JSON), no code."""
