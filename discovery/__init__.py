"""The outer loop: what searches objectives, and the `discovery` command."""
