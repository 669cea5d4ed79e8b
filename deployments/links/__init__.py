"""Direct connections between replicas on one machine: calls that do not pass through Serve (docs/adr/0008)."""
