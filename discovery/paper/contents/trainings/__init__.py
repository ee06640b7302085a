"""Tables and figures that compare algorithms, one a file; see `discovery.paper.trainings`."""
