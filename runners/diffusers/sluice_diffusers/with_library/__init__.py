"""The diffusers library driven from outside its files. Nothing here is imported before a model loads."""
