"""Layer 6. Adapters: each implements a port; each is loaded by name, when it is asked for."""
