"""The network services: which ports are open, and who answers behind them."""
