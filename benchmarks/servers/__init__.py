"""Programs that handle events in a process of their own, while `latency.py` publishes them."""
