"""Runs that ship, as data: a TOML file each (`discovery list` shows them)."""
