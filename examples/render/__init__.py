"""A small render farm: jobs of another kind than backtests, on a service that exists by configuration only. See README.md beside this file."""
