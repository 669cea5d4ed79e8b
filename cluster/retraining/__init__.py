"""From what was decided to the next model: a history of the archived payments and of what became known of them."""
