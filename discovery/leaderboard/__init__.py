"""The leaderboard: every loss with every fault of the data on every task, tuned alike."""
