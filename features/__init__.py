"""What a transaction looks like to a model: no Ray, no HTTP, no model code."""
