"""The report of an inspection: drawings, tables, figures and the page that holds them."""
