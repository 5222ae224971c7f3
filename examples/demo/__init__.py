"""The demos: `make demo` (backtests), `make demo-all` (comparison, FreqAI, hyperopt)."""
