"""The decision path: a composed Ray Serve graph. ``app.py`` wires it on one screen."""
