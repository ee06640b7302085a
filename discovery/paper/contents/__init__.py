"""Tables and figures of the mirror-preference paper, as data."""
