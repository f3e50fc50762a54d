"""Files and folders of photos predicted: masks, overlays, a table, going on after a stop."""
