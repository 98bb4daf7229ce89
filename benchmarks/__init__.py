"""Measurements of speed; the folder is a package so that the type checker tells its files from those in demos."""
