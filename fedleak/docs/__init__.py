"""The documentation: pages, for the terminal (``fedleak docs``) and for the site that MkDocs makes."""
