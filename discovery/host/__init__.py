"""The process a discovery runs in: devices, other processes, being asked to stop."""
