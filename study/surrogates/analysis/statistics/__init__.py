"""Holds the statistics that the study of surrogates alone uses, each as its registration states it."""
