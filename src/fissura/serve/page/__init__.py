"""The page of the desk: HTML, style sheets, modules and texts, served as they are."""
