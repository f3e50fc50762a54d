"""Pages of HTML: one base template, one stylesheet and one script for all reports, and Markdown.

A page is one file that opens anywhere without network; everything that a user may have named is
escaped, because templates escape what is not `Markup`.
"""
