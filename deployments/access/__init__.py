"""Who may do what over HTTP: API keys and their scopes, rate limits, bounds on requests (docs/threat_model.md)."""
