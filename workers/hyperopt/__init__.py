"""The hyperopt worker: optimises a strategy's parameters with freqtrade itself."""
