"""What the services built on freqtrade share: a call's config under the policy, candles, markets, strategies, the job's folder and log. No service's own work."""
