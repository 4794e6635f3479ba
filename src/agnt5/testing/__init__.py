"""Tools to prove workflows and stores. Needs the extra ``testing``."""
