"""Open-Sora 2.0 (hpcaitech/Open-Sora, commit d0cd5ac) driven in-process, from outside its files.

Needs the libraries Open-Sora itself needs. Nothing here is imported before a model loads.
"""
