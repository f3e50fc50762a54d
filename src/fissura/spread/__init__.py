"""Work on many photos spread over machines: shards of a list, and workers of a cluster."""
