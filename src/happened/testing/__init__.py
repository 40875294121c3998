"""Layer 6. For those who test: contracts that adapters have to keep."""
