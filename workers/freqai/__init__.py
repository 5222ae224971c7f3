"""The FreqAI worker: trains FreqAI models with freqtrade itself."""
