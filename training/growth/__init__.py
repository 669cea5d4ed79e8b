"""How training grows with the history: time of each step, and memory of all processes."""
