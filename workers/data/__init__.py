"""The data worker: the only one that uses the network, to bring candles and markets."""
