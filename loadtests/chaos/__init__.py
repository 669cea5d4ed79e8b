"""Faults and changes under a steady load, and the proof that no decision was lost and no payment counted twice."""
