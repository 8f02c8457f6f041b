"""Synthetic rows beside real ones: are they like them, are they of use, are any of them copies?"""

from cpvae.study.assessing.assessment import Assessment, assess

__all__ = ["Assessment", "assess"]
