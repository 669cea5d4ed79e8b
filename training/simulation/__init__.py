"""The simulated world: places, customers and merchants, their ordinary payments, and the attacks on them."""
