"""The front end: a few ES modules and a style sheet, which `stage.py` joins and sends."""
