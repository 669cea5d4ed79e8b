"""The comparison of Tollgate with its peers, in one interleaved run. See README.md."""
