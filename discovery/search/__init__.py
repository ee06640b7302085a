"""The outer loop: situations, cohorts of agents, and the strategies that move an objective."""
