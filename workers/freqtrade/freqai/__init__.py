"""What trainings and backtests share of FreqAI: the windows, the model artifact and its signature."""
