"""The PBX's objects and their device entries: who may register, as far as a certificate alone cannot say."""
