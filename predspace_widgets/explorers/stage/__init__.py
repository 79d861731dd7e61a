"""The front end: ES modules, a style sheet, and the Python that joins and sends them."""
