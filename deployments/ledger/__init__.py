"""The decision log: every decision, durable before the client hears of it, and the same for every retry."""
