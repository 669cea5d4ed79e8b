"""A locustfile a scenario: each names one shape of load, to be combined with one that names users."""
